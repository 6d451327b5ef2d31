"""One job in a process of its own, so that its memory can be told and its end ends nothing else."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from zerotag.datasets import TEST, load_dataset
from zerotag.errors import ZerotagError
from zerotag.evaluation import evaluate_run
from zerotag.harness.jobs import Job
from zerotag.harness.resampling import draw_images, resampled_map
from zerotag.memory import PeakMemory, keep_freed_memory
from zerotag.storage import write_atomically
from zerotag.training.loop import train
from zerotag.training.run import Run
from zerotag.training.settings import validate_settings

NUM_RESAMPLES = 500


def do(job: Job) -> dict[str, Any]:
    """Train, judge, and keep the outcome; what is there already is not done again.

    Raises:
        ZerotagError: training or judging failed.
    """
    if (kept := job.outcome()) is not None and set(job.judged) <= kept["settings"].keys():
        return kept
    with PeakMemory() as peak:
        run = train(job.settings, job.folder, resume=True)
    scores_file = job.folder / "scores.npy"
    outcome = evaluate_run(job.folder, job.judged, scores_file=scores_file).to_dict()
    outcome |= {
        "train_seconds": run.log()[-1]["seconds"],
        "peak_memory_bytes": peak.num_bytes,
        "resampled_map": _resampled(run, job.judged, np.load(scores_file)),
    }
    scores_file.unlink()
    run.checkpoint.unlink(missing_ok=True)
    write_atomically(job.outcome_file, json.dumps(outcome))
    return outcome


def _resampled(run: Run, judged: tuple[str, ...], scores: np.ndarray) -> dict[str, list[float]]:
    """Mean average precision of the same draws of test pictures for every method of one seed."""
    dataset = load_dataset(run.settings.data)
    annotations = dataset.annotations[np.ix_(dataset.rows(TEST), dataset.columns(run.labels.all))]
    draws = draw_images(len(annotations), NUM_RESAMPLES, run.settings.seed)
    found = {}
    for setting in judged:
        ranked = run.labels.ranked(setting)
        of = annotations[:, ranked]
        found[setting] = resampled_map(scores[:, ranked], of == 1, of != 0, draws).tolist()
    return found


def main() -> None:
    """Do the job that comes as a line on stdin; a reason for failing goes to stderr, as its last line."""
    keep_freed_memory()
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_leave_with_the_bench, daemon=True).start()
    settings = validate_settings(asked["settings"], "the bench")
    job = Job(asked["method"], settings, tuple(asked["judged"]), Path(asked["folder"]))
    try:
        do(job)
    except ZerotagError as error:
        sys.exit(str(error))


def _leave_with_the_bench() -> None:
    """The end of stdin comes when the bench is gone, however it went."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
