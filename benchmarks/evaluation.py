"""Judging scores on disk at the size of Open Images and NUS-WIDE: time, memory, and scikit-learn beside it.

Run: python benchmarks/evaluation.py [FOLDER]

FOLDER, a temporary one when left out, needs 5 GB. Each judgement runs in a process of its own, so that its peak memory
can be told; scikit-learn's average precision goes label by label over a slice of the labels, NumPy's full sort over a
slice of the images, and each time is scaled to the whole.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from sklearn.metrics import average_precision_score

from measure import medians, peak_gigabytes
from zerotag.judgement import evaluate
from zerotag.labels import LabelSet
from zerotag.metrics import average_precision, hits_at_k
from zerotag.protocols import PROTOCOLS
from zerotag.score_files import read_annotations, read_scores

OPEN_IMAGES, NUS_WIDE = (125_456, 7_186, 400, 0.002, 0.001), (107_859, 925, 81, 0.007, 0.993)
SLICE_OF_LABELS, SLICE_OF_IMAGES, ROWS = 24, 2_048, 4_096


def write(folder: Path, images: int, seen: int, unseen: int, positive: float, negative: float) -> None:
    """Scores, and annotations of which the given shares are positive and negative, and the others unknown."""
    random, shape = np.random.default_rng(0), (images, seen + unseen)
    scores = open_memmap(folder / "scores.npy", "w+", np.float32, shape)
    annotations = open_memmap(folder / "annotations.npy", "w+", np.int8, shape)
    for start in range(0, images, ROWS):
        drawn = random.random((min(ROWS, images - start), shape[1]), np.float32)
        annotations[start : start + ROWS] = np.where(drawn < positive, 1, np.where(drawn < positive + negative, -1, 0))
        scores[start : start + ROWS] = random.standard_normal(drawn.shape, np.float32)


def judge(folder: Path, protocol: str, seen: int) -> tuple[float, float]:
    """Seconds, and the peak memory of the process in GB."""
    scores, annotations = read_scores(folder / "scores.npy"), read_annotations(folder / "annotations.npy")
    names = [f"label {c}" for c in range(scores.shape[1])]
    labels = LabelSet(tuple(names[:seen]), tuple(names[seen:]))
    began = time.perf_counter()
    evaluate(scores, annotations, labels, setting="gzsl", ks=(10, 20), protocol=protocol)
    return time.perf_counter() - began, peak_gigabytes()


def by_scikit_learn(scores: np.ndarray, annotations: np.ndarray) -> None:
    for c in range(scores.shape[1]):
        known = annotations[:, c] != 0
        average_precision_score(annotations[known, c] == 1, scores[known, c])


def by_full_sort(scores: np.ndarray, positives: np.ndarray, k: int) -> int:
    best = (-scores).argsort(1)[:, :k]
    return int(np.take_along_axis(positives, best, 1).sum())


def compare(name: str, folder: Path, size: tuple[int, int, int, float, float]) -> None:
    images, seen, unseen, *_ = size
    write(folder, *size)
    print(f"\n{name}, {images:,} images by {seen + unseen:,} labels\n")
    print("| protocol, gzsl, K = 10 and 20 | seconds | peak memory, GB |\n|---|---:|---:|")
    context = multiprocessing.get_context("spawn")
    for protocol in PROTOCOLS:
        if PROTOCOLS[protocol].pooled and name == "NUS-WIDE":
            continue  # meant for images with a few annotated labels, and refused here
        with context.Pool(1) as pool:
            seconds, memory = pool.apply(judge, (folder, protocol, seen))
        print(f"| {protocol} | {seconds:.1f} | {memory:.2f} |", flush=True)

    scores, annotations = read_scores(folder / "scores.npy"), read_annotations(folder / "annotations.npy")
    some, annotated = np.array(scores[:, :SLICE_OF_LABELS]), np.array(annotations[:, :SLICE_OF_LABELS])
    full = np.where(annotated == 1, np.int8(1), np.int8(-1))
    print("\n| piece of work | alternative, s | zerotag, s | ratio |\n|---|---:|---:|---:|")
    for title, labels in (("every image annotated", full), ("as annotated", annotated)):
        slow, fast = medians(
            [
                partial(by_scikit_learn, some, labels),
                partial(average_precision, some, labels == 1, labels != 0),
            ],
            rounds=3,
        )
        times = (seen + unseen) / SLICE_OF_LABELS
        print(f"| mAP, {title}: scikit-learn | {slow * times:.1f} | {fast * times:.1f} | {slow / fast:.1f} |")
    rows, positives = np.array(scores[:SLICE_OF_IMAGES]), np.array(annotations[:SLICE_OF_IMAGES]) == 1
    slow, fast = medians([partial(by_full_sort, rows, positives, 10), partial(hits_at_k, rows, positives, 10)])
    times = images / SLICE_OF_IMAGES
    print(f"| best 10 of every image: full argsort | {slow * times:.1f} | {fast * times:.1f} | {slow / fast:.1f} |")


def main() -> None:
    with tempfile.TemporaryDirectory(dir=sys.argv[1] if len(sys.argv) > 1 else None) as folder:
        compare("NUS-WIDE", Path(folder), NUS_WIDE)
        compare("Open Images", Path(folder), OPEN_IMAGES)


if __name__ == "__main__":
    main()
