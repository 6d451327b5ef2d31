"""Every method on the same features, labels, protocol and seeds, one process a core, nothing done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zerotag.datasets import load_dataset
from zerotag.errors import MissingPackageError, ZerotagError
from zerotag.harness.jobs import Job, plan
from zerotag.labels import split_labels
from zerotag.progress import Progress, silent
from zerotag.training.prepare import backbone_for, inputs_for, vectors_for
from zerotag.training.run import current_versions

LOOK_EVERY_SECONDS = 2.0


@dataclass(frozen=True)
class Row:
    """A job, and what came of it: an outcome, or the reason why there is none."""

    job: Job
    outcome: dict[str, Any] | None
    failure: str = ""


def bench(
    data: str,
    methods: Sequence[str],
    folder: Path,
    *,
    num_seeds: int = 5,
    settings: Sequence[str] = ("zsl", "gzsl", "multilabel"),
    num_workers: int | None = None,
    changes: Sequence[str] = (),
    progress: Progress = silent,
) -> list[Row]:
    """Train and judge methods; a job that fails has its reason in its row, and the others go on.

    Feature maps and label vectors are made first; then jobs run in worker processes with a share of the cores each.
    Memory: that of the largest jobs side by side, about 1.5 GB each for the recipes that come along. All figures go
    to ``results.parquet`` in ``folder`` as well.

    Args:
        data: name or folder of a data set.
        methods: names of models or recipes, or settings files.
        folder: where runs and results go.
        num_seeds: seeds 0, 1, ...
        settings: "zsl", "gzsl" and "multilabel".
        num_workers: as many jobs at a time; one for each core when left out.
        changes: settings ``a.b=c`` that hold for all methods.
        progress: told of each step.

    Raises:
        MissingPackageError: pyarrow is not installed.
        ZerotagError: see :func:`zerotag.harness.jobs.plan`.
    """
    _need_pyarrow()
    jobs = plan(data, methods, num_seeds=num_seeds, settings=settings, folder=folder, changes=changes)
    _prepare_inputs(jobs, progress)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = min(num_workers or cores, len(jobs))
    rows = _run_all(jobs, workers, max(1, cores // workers), progress)
    write_parquet(rows, folder / "results.parquet")
    return rows


def _prepare_inputs(jobs: Sequence[Job], progress: Progress) -> None:
    """Make once what several jobs read: the feature maps of each backbone, the vectors of the labels."""
    dataset = load_dataset(jobs[0].settings.data)
    done: set[str] = set()
    for job in jobs:
        chosen = job.settings
        if chosen.backbone.model_dump_json() not in done and not chosen.backbone.train:
            inputs_for(chosen, dataset, backbone_for(chosen), progress)
        if chosen.vectors.model_dump_json() not in done:
            vectors_for(chosen, split_labels(dataset.labels, unseen_fraction=0, seed=0))
        done |= {chosen.backbone.model_dump_json(), chosen.vectors.model_dump_json()}


def _run_all(jobs: Sequence[Job], workers: int, threads: int, progress: Progress) -> list[Row]:
    total = sum(job.settings.optimiser.epochs for job in jobs)
    with ThreadPoolExecutor(workers) as pool:
        try:
            futures = [pool.submit(_in_a_process, job, threads) for job in jobs]
            waiting = set(futures)
            while waiting:
                _, waiting = wait(waiting, LOOK_EVERY_SECONDS, FIRST_COMPLETED)
                epochs = sum(_epochs_done(job, future) for job, future in zip(jobs, futures, strict=True))
                progress(f"Epochs of {len(jobs)} runs", epochs, total)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        return [future.result() for future in futures]


def _epochs_done(job: Job, future: Future[Row]) -> int:
    if future.done():
        return job.settings.optimiser.epochs
    log = job.folder / "log.jsonl"
    return len(log.read_text().splitlines()) if log.exists() else 0


def _in_a_process(job: Job, threads: int) -> Row:
    if (kept := job.outcome()) is not None and set(job.judged) <= kept["settings"].keys():
        return Row(job, kept)
    asked = {
        "settings": job.settings.model_dump(),
        "method": job.method,
        "judged": job.judged,
        "folder": str(job.folder.resolve()),
    }
    job.folder.mkdir(parents=True, exist_ok=True)
    log = job.folder / "worker.log"
    with log.open("w") as messages:
        process = subprocess.Popen(
            [sys.executable, "-m", "zerotag.harness.worker"],
            stdin=subprocess.PIPE,
            stderr=messages,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
            text=True,
        )
        assert process.stdin is not None
        # the pipe stays open: a worker whose bench is gone reads its end and goes too
        with process.stdin as pipe:
            pipe.write(json.dumps(asked) + "\n")
            pipe.flush()
            code = process.wait()
    if code == 0:
        return Row(job, job.outcome())
    if code < 0:
        return Row(job, None, f"killed by {signal.Signals(-code).name}; perhaps memory ran out")
    return Row(job, None, (log.read_text().splitlines() or ["no reason given"])[-1])


def _need_pyarrow() -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise MissingPackageError("pyarrow", "research", "zerotag bench") from error


def write_parquet(rows: Sequence[Row], file: Path) -> None:
    """One row for each method, seed and setting; a job that failed has its reason and no figures."""
    import pyarrow
    from pyarrow import parquet

    table = []
    for row in rows:
        settings = row.job.settings
        about = {
            "method": row.job.method,
            "model": settings.model.name,
            "data": settings.data,
            "seed": settings.seed,
            "settings": settings.model_dump_json(),
            "versions": json.dumps(current_versions(settings.model.name)),
            "failure": row.failure or None,
        }
        table += [about | {"setting": name} | _figures(row.outcome, name) for name in row.job.judged]
    names = list(dict.fromkeys(name for row in table for name in row))
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.table({name: [row.get(name) for row in table] for name in names}), file)


def _figures(outcome: dict[str, Any] | None, setting: str) -> dict[str, Any]:
    if outcome is None:
        return {}
    report = outcome["settings"][setting]
    game = outcome["pointing_game"] or {}
    at_k = {f"{name}_at_{k}": value for k, figures in report["at_k"].items() for name, value in figures.items()}
    return {
        "protocol": report["protocol"],
        "mean_average_precision": report["mean_average_precision"],
        "chance_mean_average_precision": report["chance"]["mean_average_precision"],
        **at_k,
        "positives_per_image": report["positives_per_image"],
        "num_images": report["num_images"],
        "num_labels": report["num_labels"],
        "pointing_game": game.get("accuracy"),
        "pointing_game_chance": game.get("chance"),
        "num_parameters": outcome["num_parameters"],
        "train_seconds": outcome["train_seconds"],
        "ms_per_image": outcome["ms_per_image"],
        "peak_memory_bytes": outcome["peak_memory_bytes"],
    }
