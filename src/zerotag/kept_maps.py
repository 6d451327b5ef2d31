"""Feature maps that a data set brings along, kept in half precision: half the disk, rows at the speed of the disk."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.format import open_memmap

from zerotag.datasets import PictureDataset, StoredMaps
from zerotag.errors import ZerotagError
from zerotag.locks import alone
from zerotag.prefetch import prefetched
from zerotag.progress import Progress, silent
from zerotag.storage import cache_folder, full_disk_explained, mapped, reserve, write_atomically

BATCH_SIZE = 64


class KeptMaps:
    """Maps in the cache, memory-mapped.

    Attributes:
        channels: number of channels by stride.
        folder: where they lie.
    """

    def __init__(self, folder: Path, stored: StoredMaps) -> None:
        self.folder, self.channels, self._stored = folder, stored.channels, stored
        self.maps = {stride: mapped(folder / f"stride{stride}.npy") for stride in self.channels}

    def batch(self, indices: np.ndarray) -> dict[int, torch.Tensor]:
        """Maps of some pictures by stride, each [b, c, h, w] in half precision."""
        return {stride: torch.from_numpy(maps[indices]) for stride, maps in self.maps.items()}

    def reading(self, strides: Sequence[int]) -> KeptMaps:
        """The same with maps of some strides alone."""
        some = copy(self)
        some.maps = {stride: self.maps[stride] for stride in strides}
        return some

    def record(self) -> dict[str, Any]:
        """What the maps are: those of the data set."""
        return self._stored.record()


def kept_maps(dataset: PictureDataset) -> KeptMaps | None:
    """The maps in the cache, where they were kept and the data set has not changed."""
    assert dataset.maps is not None
    folder = _folder(dataset, dataset.maps)
    return KeptMaps(folder, dataset.maps) if (folder / "index.json").exists() else None


def keep_maps(dataset: PictureDataset, *, progress: Progress = silent) -> KeptMaps:
    """Copy the maps of all pictures to the cache, where they are not there yet.

    Disk: 251 kB a picture for maps of 512 channels on a grid of 14 by 14. Memory: a few batches of 64 pictures.

    Raises:
        ZerotagError: the data set has pictures and no maps, a number does not fit into half precision, or the disk is
            full.
    """
    if dataset.maps is None:
        raise ZerotagError(f"{dataset.root} holds pictures; their maps are made by a backbone")
    folder = _folder(dataset, dataset.maps)
    with alone(folder):
        if not (folder / "index.json").exists():
            _keep(dataset, dataset.maps, folder, progress)
    return KeptMaps(folder, dataset.maps)


def _keep(dataset: PictureDataset, stored: StoredMaps, folder: Path, progress: Progress) -> None:
    number = len(dataset.paths)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    batches = [np.arange(start, min(start + BATCH_SIZE, number)) for start in range(0, number, BATCH_SIZE)]
    with full_disk_explained(folder):
        shapes = {stride: one.shape[1:] for stride, one in stored.batch(batches[0][:1]).items()}
        files = {s: open_memmap(folder / f"stride{s}.npy", "w+", np.float16, (number, *shapes[s])) for s in shapes}
        for stride in files:
            reserve(folder / f"stride{stride}.npy")
        for rows, maps in prefetched(stored.batch, batches):
            for stride, one in maps.items():
                half = one.half().numpy()
                if not np.isfinite(half).all():
                    raise ZerotagError(
                        f"{dataset.root}: among '{dataset.paths[rows[0]]}' and the {len(rows) - 1} pictures after it a "
                        "feature is too large for half precision, or no number"
                    )
                files[stride][rows] = half
            progress("Keeping feature maps", int(rows[-1]) + 1, number)
        for file in files.values():
            file.flush()
    write_atomically(folder / "index.json", json.dumps(stored.record()))


def _folder(dataset: PictureDataset, stored: StoredMaps) -> Path:
    identity = json.dumps([str(dataset.root.resolve()), len(dataset.paths), stored.record()], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return cache_folder() / "features" / f"{dataset.root.name}-stored-{digest}"
