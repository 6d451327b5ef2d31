"""Feature maps read from the cache with their checksums looked at, against the same read without; beside a step.

Run: python benchmarks/checksums.py

Made-up maps of the shapes that the pocket recipe reads, in the memory of the system, in batches drawn at random; the
step is that of the recipe. Needs 0.5 GB of disk.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from copy import copy
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from measure import medians, print_table
from zerotag.checked_arrays import lay_out
from zerotag.maps_on_disk import MapsOnDisk, file_of
from zerotag.memory import keep_freed_memory
from zerotag.models import create_model
from zerotag.precision import autocast
from zerotag.strides import WHOLE
from zerotag.training.settings import load_settings

RECIPE, NUM_IMAGES, SEEN, VECTOR_DIM = "gbe-fast", 2_048, 210, 384
SHAPES = {8: (40, 36, 36), 16: (112, 18, 18), 32: (320, 9, 9), WHOLE: (1280, 1, 1)}


def made_up(folder: Path) -> MapsOnDisk:
    random = np.random.default_rng(0)
    for stride, shape in SHAPES.items():
        array = lay_out(file_of(folder, stride), np.float16, (NUM_IMAGES, *shape))
        for start in range(0, NUM_IMAGES, 64):
            rows = np.arange(start, start + 64)
            array.write(rows, random.normal(size=(64, *shape)).astype(np.float16))
        array.flush()
    return MapsOnDisk(folder, [str(number) for number in range(NUM_IMAGES)], SHAPES, "make them again")


def unchecked(maps: MapsOnDisk) -> MapsOnDisk:
    bare = copy(maps)
    bare.maps = {stride: copy(array) for stride, array in maps.maps.items()}
    for array in bare.maps.values():
        array.sums = None
    return bare


def batches(size: int) -> Iterator[np.ndarray]:
    return cycle(np.random.default_rng(0).permutation(NUM_IMAGES).reshape(-1, size))


def main() -> None:
    keep_freed_memory()
    settings = load_settings(RECIPE)
    size = settings.optimiser.batch_size
    torch.manual_seed(0)
    channels = {stride: shape[0] for stride, shape in SHAPES.items()}
    model = create_model("gbe", channels=channels, vector_dim=VECTOR_DIM, **settings.model.options)
    W = F.normalize(torch.randn(SEEN, VECTOR_DIM), dim=1)
    model.meet_labels(W)
    positives = torch.rand(size, SEEN) < 5 / SEEN
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        maps = made_up(Path(folder))
        bare, first, second = unchecked(maps), batches(size), batches(size)
        batch = {stride: one.float() for stride, one in bare.batch(next(batches(size))).items()}

        def step() -> None:
            with autocast(torch.device("cpu")):
                S = model.embed(batch).float()
            model.loss(S, W, positives).backward()
            model.zero_grad()

        without, checked, training = medians(
            [lambda: bare.batch(next(first)), lambda: maps.batch(next(second)), step], 20
        )
    print_table(f"{RECIPE}, batches of {size}", "unchecked read", "checked read", [("reading", without, checked)])
    print(f"\na step takes {1e3 * training:.0f} ms; the check is {100 * (checked - without) / training:.1f} % of it")


if __name__ == "__main__":
    main()
