"""A trained run judged on its data set's test pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zerotag.datasets import PictureDataset, load_dataset
from zerotag.errors import ZerotagError
from zerotag.heatmaps import is_hit, share_of_picture
from zerotag.progress import Progress, silent
from zerotag.protocols import Report, evaluate
from zerotag.storage import write_atomically
from zerotag.training.network import Network, embed_all, scores_of
from zerotag.training.prepare import inputs_for, load_network, vectors_for
from zerotag.training.run import load_run


def evaluate_run(
    folder: Path, settings: Sequence[str] = ("zsl", "gzsl"), *, ks: Sequence[int] = (3, 5), progress: Progress = silent
) -> dict[str, Report]:
    """Reports by setting, "zsl" or "gzsl", on the test pictures; also written to ``results.json`` in the run.

    Raises:
        ZerotagError: the run is not finished, or its data set changed since.
    """
    run = load_run(folder)
    dataset = load_dataset(run.settings.data)
    W, _ = vectors_for(run.settings, run.labels)
    network, backbone = load_network(run, W.shape[1])
    inputs = inputs_for(run.settings, dataset, backbone, progress)
    test = np.flatnonzero(np.array(dataset.splits) == "test")
    if not len(test):
        raise ZerotagError(f"{dataset.root} has no test pictures; mark some with the split 'test'")
    scores = scores_of(network.model, embed_all(network, inputs, test, progress=progress), W)
    annotations = dataset.annotations[np.ix_(test, dataset.columns(run.labels.all))]
    reports = {s: evaluate(scores, annotations, run.labels, setting=s, ks=ks) for s in settings}
    results = {s: report.to_dict() for s, report in reports.items()}
    write_atomically(folder / "results.json", json.dumps(results, indent=1))
    return reports
