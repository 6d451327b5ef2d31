"""Time and memory of judging scores on disk, against the number of images and of labels: a table and a figure.

Run: python benchmarks/evaluation_scaling.py FIGURE.png

Needs 1 GB in the folder for temporary files.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
from pathlib import Path

from matplotlib.figure import Figure

from evaluation import judge, write

IMAGES, LABELS = (20_000, 40_000, 80_000, 160_000), (250, 500, 1_000, 2_000)
FIXED_LABELS, FIXED_IMAGES = 500, 40_000
UNSEEN, POSITIVE, NEGATIVE = 50, 0.005, 0.2


def measured(folder: Path, images: int, labels: int) -> tuple[float, float]:
    """Seconds, and peak memory in GB, of protocol "paper" in a process of its own."""
    write(folder, images, labels - UNSEEN, UNSEEN, POSITIVE, NEGATIVE)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(judge, (folder, "paper", labels - UNSEEN))


def main() -> None:
    figure = Figure(figsize=(8, 3), layout="constrained")
    print("| images | labels | seconds | peak memory, GB |\n|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        sweeps = (
            ("images N", IMAGES, [(number, FIXED_LABELS) for number in IMAGES]),
            ("labels C", LABELS, [(FIXED_IMAGES, number) for number in LABELS]),
        )
        for axes, (what, values, sizes) in zip(figure.subplots(1, 2), sweeps, strict=True):
            found = [measured(Path(name), *size) for size in sizes]
            for (images, labels), (seconds, memory) in zip(sizes, found, strict=True):
                print(f"| {images:,} | {labels:,} | {seconds:.1f} | {memory:.2f} |", flush=True)
            axes.plot(values, [seconds for seconds, _ in found], "o-", color="#b22229", label="seconds")
            axes.set(xlabel=what, ylabel="seconds", xlim=(0, None), ylim=(0, None))
            beside = axes.twinx()
            beside.plot(values, [memory for _, memory in found], "s--", color="#2b3d9f", label="peak memory, GB")
            beside.set(ylabel="peak memory, GB", ylim=(0, 2))
    figure.savefig(sys.argv[1], dpi=150)


if __name__ == "__main__":
    main()
