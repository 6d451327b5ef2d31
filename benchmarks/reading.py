"""Reading shuffled feature maps beside a training step: from HDF5 files of NUS-WIDE's layout, and from zerotag's cache.

Run: python benchmarks/reading.py

A made-up set of the real layout (512 x 196 float32, gzip) is written, its pages dropped from memory, and GBE at the
paper's size trained on batches in random order, read ahead by a second thread. Waiting is the time in which the
training has nothing to do. Needs 2 GB of disk.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from zerotag.datasets import StoredMaps, fake_nus_wide, load_dataset
from zerotag.kept_maps import keep_maps
from zerotag.memory import PeakMemory, keep_freed_memory
from zerotag.models import create_model
from zerotag.precision import autocast
from zerotag.prefetch import prefetched

NUM_IMAGES, SEEN, UNSEEN, BATCH_SIZE, STEPS = 1_600, 925, 81, 16, 24
VECTOR_DIM = 300


def dropped(folder: Path) -> None:
    """Let the system forget what it holds of the files in a folder, so that they are read from the disk."""
    for file in (file for file in folder.rglob("*") if file.is_file()):
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def batches() -> Iterator[np.ndarray]:
    random = np.random.default_rng(0)
    return (random.choice(NUM_IMAGES, BATCH_SIZE, replace=False) for _ in range(STEPS))


def alone(maps: StoredMaps) -> float:
    """Milliseconds to read a picture, with nothing beside."""
    began = time.perf_counter()
    for rows in batches():
        maps.batch(rows)
    return 1000 * (time.perf_counter() - began) / (STEPS * BATCH_SIZE)


def beside_training(maps: StoredMaps) -> tuple[float, float, float]:
    """Milliseconds of a step, the share of them spent waiting, and the peak memory in GB."""
    torch.manual_seed(0)
    model = create_model("gbe", channels=maps.channels, vector_dim=VECTOR_DIM)
    W = F.normalize(torch.randn(SEEN, VECTOR_DIM), dim=1)
    positives = torch.rand(BATCH_SIZE, SEEN) < 5 / SEEN
    waited, began = 0.0, time.perf_counter()
    with PeakMemory() as peak:
        reading = prefetched(maps.batch, batches())
        while True:
            asked = time.perf_counter()
            if (item := next(reading, None)) is None:
                break
            waited += time.perf_counter() - asked
            with autocast(torch.device("cpu")):
                S = model.embed({stride: one.float() for stride, one in item[1].items()}).float()
            model.loss(S, W, positives).backward()
            model.zero_grad()
    spent = time.perf_counter() - began
    return 1000 * spent / STEPS, waited / spent, (peak.num_bytes or 0) / 1e9


def main() -> None:
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ZEROTAG_CACHE"] = f"{folder}/cache"
        root = Path(folder) / "NUS-WIDE"
        fake_nus_wide.make(root, "hdf5", num_images=NUM_IMAGES, num_seen=SEEN, num_unseen=UNSEEN)
        dataset = load_dataset(str(root))
        assert dataset.maps is not None
        kept = keep_maps(dataset)
        print("| source | reading alone, ms a picture | step of 16, ms | waiting, percent | peak memory, GB |")
        print("|---|---:|---:|---:|---:|")
        times = []
        for name, maps, where in (("HDF5 files", dataset.maps, root), ("zerotag's cache", kept, kept.folder)):
            dropped(where)
            times.append(alone(maps))
            dropped(where)
            step, share, memory = beside_training(maps)
            print(f"| {name} | {times[-1]:.2f} | {step:.0f} | {100 * share:.1f} | {memory:.2f} |", flush=True)
        print(f"\nratio of reading: {times[0] / times[1]:.1f}")


if __name__ == "__main__":
    main()
