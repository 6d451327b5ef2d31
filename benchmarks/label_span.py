"""What GBE's option ``within_span`` brings, and would bring the others: runs scored with both kinds of label vectors.

Unseen labels come with their whole vectors, and with the part of them that the vectors of the seen labels span.

Run: python benchmarks/label_span.py FOLDER [--seeds 1]

FOLDER is the `--out` of a `zerotag bench` whose runs ranked unseen labels. Nothing is trained.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from zerotag.datasets import TEST, load_dataset
from zerotag.judgement import evaluate
from zerotag.models.gbe import GBE, SMALLEST_DIRECTION
from zerotag.progress import silent
from zerotag.training.network import embed_all, scores_of
from zerotag.training.prepare import inputs_for, load_network, map_source, vectors_for
from zerotag.training.run import load_run

SETTINGS = ("zsl", "gzsl")


def mean_average_precisions(folder: Path) -> np.ndarray:
    """ZSL and GZSL mAP with whole label vectors and within the span: [2, 2]."""
    run = load_run(folder)
    dataset = load_dataset(run.settings.data)
    W, _ = vectors_for(run.settings, run.labels)
    source = map_source(run.settings, dataset)
    network = load_network(run, W, source)
    if isinstance(network.model, GBE):
        network.model.span = None
    test = dataset.rows(TEST)
    inputs = inputs_for(run.settings, dataset, source, silent, network.model.strides_read)
    S = embed_all(network, inputs, test)
    seen = W[: len(run.labels.seen)]
    spanned = W @ torch.linalg.pinv(seen, rtol=SMALLEST_DIRECTION) @ seen
    annotations = dataset.annotations[np.ix_(test, dataset.columns(run.labels.all))]
    found = []
    for vectors in (W, torch.cat([seen, spanned[len(seen) :]])):
        scores = scores_of(network.model, S, vectors)
        reports = [evaluate(scores, annotations, run.labels, setting=setting, ks=(3,)) for setting in SETTINGS]
        found.append([report.mean_average_precision for report in reports])
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    columns = [f"{setting.upper()} mAP | within the span" for setting in SETTINGS]
    print(f"| method, seeds: {given.seeds} | " + " | ".join(columns) + " |\n|---|---:|---:|---:|---:|")
    for first in sorted(given.folder.glob("*-zeroshot-seed0")):
        method = first.name.removesuffix("-zeroshot-seed0")
        runs = [given.folder / f"{method}-zeroshot-seed{seed}" for seed in range(given.seeds)]
        mean = 100 * np.mean([mean_average_precisions(run) for run in runs], axis=0)
        print(f"| {method} | " + " | ".join(f"{mean[v, s]:.1f}" for s in range(2) for v in range(2)) + " |", flush=True)


if __name__ == "__main__":
    main()
