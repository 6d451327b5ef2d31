"""Every method on the same features, labels, protocol and seeds, one process a core, nothing done twice."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zerotag.datasets import load_dataset
from zerotag.errors import ZerotagError
from zerotag.harness.jobs import Job, Variant, plan
from zerotag.harness.workers import Workers
from zerotag.labels import split_labels
from zerotag.locks import held
from zerotag.progress import Progress, silent
from zerotag.training.prepare import inputs_for, map_source, vectors_for

LOOK_EVERY_SECONDS = 2.0


@dataclass(frozen=True)
class Row:
    """A job, and what came of it: an outcome, or the reason why there is none."""

    job: Job
    outcome: dict[str, Any] | None
    failure: str = ""


def bench(
    data: str,
    variants: Sequence[Variant],
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
    Memory: that of the largest jobs side by side, about 1.5 GB each for the recipes that come along.

    Args:
        data: name or folder of a data set.
        variants: methods, and what is changed in each.
        folder: where the runs go.
        num_seeds: seeds 0, 1, ...
        settings: "zsl", "gzsl" and "multilabel".
        num_workers: as many jobs at a time; one for each core when left out.
        changes: settings ``a.b=c`` that hold for all methods.
        progress: told of each step.

    Raises:
        ZerotagError: see :func:`zerotag.harness.jobs.plan`.
    """
    jobs = plan(data, variants, num_seeds=num_seeds, settings=settings, folder=folder, changes=changes)
    with held(folder, "choose another --out"):
        _prepare_inputs(jobs, progress)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        workers = min(num_workers or cores, len(jobs))
        return _run_all(jobs, workers, max(1, cores // workers), progress)


def _prepare_inputs(jobs: Sequence[Job], progress: Progress) -> None:
    """Make once what several jobs read: the feature maps of each backbone, the vectors of the labels."""
    dataset = load_dataset(jobs[0].settings.data)
    done: set[str] = set()
    for job in jobs:
        chosen = job.settings
        if chosen.backbone.model_dump_json() not in done and not chosen.backbone.train:
            inputs_for(chosen, dataset, map_source(chosen, dataset), progress)
        if chosen.vectors.model_dump_json() not in done:
            vectors_for(chosen, split_labels(dataset.labels, unseen_fraction=0.0, seed=0), progress=progress)
        done |= {chosen.backbone.model_dump_json(), chosen.vectors.model_dump_json()}


def _run_all(jobs: Sequence[Job], workers: int, threads: int, progress: Progress) -> list[Row]:
    total = sum(job.settings.optimiser.epochs for job in jobs)
    with Workers(threads) as processes, ThreadPoolExecutor(workers) as pool:
        try:
            futures = [pool.submit(_row, job, processes) for job in jobs]
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
    return log.read_bytes().count(b"\n") if log.exists() else 0


def _row(job: Job, processes: Workers) -> Row:
    try:
        return _done(job, processes)
    except ZerotagError as error:
        return Row(job, None, str(error))


def _done(job: Job, processes: Workers) -> Row:
    if (kept := job.outcome()) is not None and set(job.judged) <= kept["settings"].keys():
        return Row(job, kept)
    code = processes.do(job)
    if code == 0:
        return Row(job, job.outcome())
    if code < 0:
        return Row(job, None, f"killed by {signal.Signals(-code).name}; perhaps memory ran out")
    return Row(job, None, (job.log.read_text(errors="replace").splitlines() or ["no reason given"])[-1])
