"""Jobs one after the other, each in a process of its own: its memory can be told and its end ends nothing else.

On Linux the process of a job is forked from one that has imported all that jobs need, which takes longer than some
of them train; elsewhere a worker does one job.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
import threading
import traceback
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
from zerotag.training.run import Run, last_epoch

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
        "train_seconds": last_epoch(run)["seconds"],
        "peak_memory_bytes": peak.num_bytes,
        "resampled_map": _resampled(run, job.judged, np.load(scores_file)),
    }
    scores_file.unlink()
    run.checkpoint.unlink(missing_ok=True)
    write_atomically(job.outcome_file, json.dumps(outcome, allow_nan=False))
    return outcome


def _resampled(run: Run, judged: tuple[str, ...], scores: np.ndarray) -> dict[str, list[float | None]]:
    """Mean average precision of the same draws of test pictures for every method of one seed."""
    dataset = load_dataset(run.settings.data)
    annotations = dataset.annotations[np.ix_(dataset.rows(TEST), dataset.columns(run.labels.all))]
    draws = draw_images(len(annotations), NUM_RESAMPLES, run.settings.seed)
    found = {}
    for setting in judged:
        ranked = run.labels.ranked(setting)
        of = annotations[:, ranked]
        figures = resampled_map(scores[:, ranked], of == 1, of != 0, draws)
        found[setting] = [None if math.isnan(one) else one for one in figures.tolist()]
    return found


def main() -> None:
    """Do the jobs that come as lines on stdin; the exit code of each goes to stdout, or is this process's own."""
    keep_freed_memory()
    importlib.import_module("torch._dynamo")  # the first optimiser of each job would import it
    for asked in iter(sys.stdin.readline, ""):
        if sys.platform == "linux" and (child := os.fork()):
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
        else:
            os._exit(_exit_code(asked))


def _exit_code(asked: str) -> int:
    job = Job.from_json(asked)
    with job.log.open("a") as log:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(log.fileno(), stream.fileno())
    threading.Thread(target=_leave_with_the_bench, daemon=True).start()
    try:
        do(job)
    except ZerotagError as error:
        print(error, file=sys.stderr)
    except Exception:
        traceback.print_exc()
    else:
        return 0
    return 1


def _leave_with_the_bench() -> None:
    """The end of stdin comes when the bench is gone, however it went."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
