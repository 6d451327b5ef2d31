"""Feature maps of a data set's pictures, extracted once by a frozen backbone and kept on disk in half precision.

A folder in the cache holds one data set's maps of one backbone: an array a stride, and for each picture the digest of
the content that its maps were made from. A picture's digest is written after its maps, so one that was interrupted
counts as not done.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.lib.format import open_memmap

from zerotag.backbones import Backbone
from zerotag.datasets import PictureDataset
from zerotag.errors import ZerotagError
from zerotag.images import open_picture
from zerotag.prefetch import prefetched
from zerotag.progress import Progress, silent
from zerotag.storage import cache_folder, full_disk_explained, mapped, write_atomically

BATCH_SIZE = 16
DIGEST_BYTES = 16


class CachedMaps:
    """Feature maps on disk, memory-mapped; rows are the pictures of the data set.

    Attributes:
        folder: where they lie.
        maps: by stride, [N, c, h, w] in half precision.
        digests: of the content that a picture's maps were made from, zero where there are none yet.
        stamps: size and time of change of that content's file, so that unchanged files need not be read again.
    """

    def __init__(self, folder: Path, *, writable: bool = False) -> None:
        mode: Literal["r", "r+"] = "r+" if writable else "r"
        index = json.loads((folder / "index.json").read_text())
        self.folder, self.paths = folder, tuple(index["paths"])
        self.maps = {int(stride): mapped(folder / f"stride{stride}.npy", mode) for stride in index["strides"]}
        self.digests = mapped(folder / "digests.npy", mode)
        self.stamps = mapped(folder / "stamps.npy", mode)

    def __len__(self) -> int:
        return len(self.paths)

    def batch(self, indices: np.ndarray) -> dict[int, torch.Tensor]:
        """Maps of some pictures by stride, each [b, c, h, w] in half precision."""
        return {stride: torch.from_numpy(maps[indices]) for stride, maps in self.maps.items()}

    def reading(self, strides: Sequence[int]) -> CachedMaps:
        """The same with maps of some strides alone."""
        some = copy(self)
        some.maps = {stride: self.maps[stride] for stride in strides}
        return some

    @property
    def done(self) -> np.ndarray:
        """Which pictures have maps."""
        return np.asarray(self.digests.any(1))


def extract_features(dataset: PictureDataset, backbone: Backbone, *, progress: Progress = silent) -> CachedMaps:
    """Maps of all pictures; those that are there and still fit are left, the others are made.

    Disk: 141 kB a picture for EfficientNet-Lite0 at 224 pixels. Memory: a few batches of 16 pictures.

    Raises:
        BadPictureError: a picture cannot be decoded.
        ZerotagError: the disk is full.
    """
    folder = _folder(dataset, backbone)
    if not _holds(folder, dataset):
        _begin(folder, dataset, backbone)
    cached = CachedMaps(folder, writable=True)
    todo = np.flatnonzero(~cached.done | _changed(cached, dataset, progress)).tolist()
    finished = len(cached) - len(todo)

    def read(rows: list[int]) -> tuple[list[Any], torch.Tensor]:
        marks = [(_stamp(path), _digest(path)) for path in map(dataset.picture, rows)]
        pixels = [backbone.preprocessing.pixels(open_picture(dataset.picture(i))) for i in rows]
        return marks, torch.from_numpy(np.stack(pixels))

    def extract(batch: tuple[list[int], tuple[list[Any], torch.Tensor]]) -> dict[int, np.ndarray]:
        _, (_, pixels) = batch
        with torch.inference_mode():
            return {stride: maps.half().numpy() for stride, maps in backbone(pixels).items()}

    batches = (todo[start : start + BATCH_SIZE] for start in range(0, len(todo), BATCH_SIZE))
    with full_disk_explained(folder):
        reading = prefetched(read, batches)
        extracting = prefetched(extract, reading, 2) if backbone.has_own_threads else ((b, extract(b)) for b in reading)
        for (rows, (marks, _)), maps in extracting:
            for stride, array in maps.items():
                cached.maps[stride][rows] = array
            cached.stamps[rows], cached.digests[rows] = (list(column) for column in zip(*marks, strict=True))
            finished += len(rows)
            progress("Extracting feature maps", finished, len(cached))
        _flush(cached)
    return CachedMaps(folder)


def cached_features(dataset: PictureDataset, backbone: Backbone, *, progress: Progress = silent) -> CachedMaps:
    """Maps of all pictures, extracted now where they are missing.

    Raises:
        ZerotagError: pictures were changed, added or taken away since their maps were made.
    """
    folder = _folder(dataset, backbone)
    again = (
        f"run: zerotag features {dataset.root} --backbone {backbone.name} --size-px {backbone.preprocessing.size_px}"
    )
    if backbone.map_side is not None:
        again += f" --map-side {backbone.map_side}"
    if (folder / "index.json").exists():
        if not _holds(folder, dataset):
            raise ZerotagError(f"pictures were added to {dataset.root} or taken away since its maps were made; {again}")
        cached = CachedMaps(folder)
        if stale := np.flatnonzero(cached.done & _changed(cached, dataset, progress)).tolist():
            raise ZerotagError(
                f"{len(stale)} pictures in {dataset.root} changed since their feature maps were made, such as "
                f"'{dataset.paths[stale[0]]}'; {again}"
            )
        if cached.done.all():
            return cached
    return extract_features(dataset, backbone, progress=progress)


def _folder(dataset: PictureDataset, backbone: Backbone) -> Path:
    identity = json.dumps([str(dataset.root.resolve()), backbone.record()], sort_keys=True)
    name = f"{dataset.root.name}-{backbone.name}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    return cache_folder() / "features" / name


def _holds(folder: Path, dataset: PictureDataset) -> bool:
    index = folder / "index.json"
    return index.exists() and tuple(json.loads(index.read_text())["paths"]) == dataset.paths


def _begin(folder: Path, dataset: PictureDataset, backbone: Backbone) -> None:
    """Lay out empty arrays; ``index.json`` comes last and says that they are there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    side, number = backbone.preprocessing.size_px, len(dataset.paths)
    with full_disk_explained(folder):
        with torch.inference_mode():
            maps = backbone(torch.zeros(1, side, side, 3, dtype=torch.uint8))
        for stride, one in maps.items():
            open_memmap(folder / f"stride{stride}.npy", "w+", np.float16, (number, *one.shape[1:]))
        open_memmap(folder / "digests.npy", "w+", np.uint8, (number, DIGEST_BYTES))
        open_memmap(folder / "stamps.npy", "w+", np.int64, (number, 2))
    index = {"paths": dataset.paths, "strides": list(maps), "backbone": backbone.record()}
    write_atomically(folder / "index.json", json.dumps(index))


def _changed(cached: CachedMaps, dataset: PictureDataset, progress: Progress) -> np.ndarray:
    """Which pictures have another content than their maps were made from; files of the same stamp are not read."""
    changed = np.zeros(len(cached), bool)
    stamps = np.array([_stamp(dataset.picture(i)) for i in range(len(cached))]).reshape(-1, 2)
    touched = np.flatnonzero(cached.done & (stamps != cached.stamps).any(1))
    for number, i in enumerate(touched.tolist(), start=1):
        changed[i] = (_digest(dataset.picture(i)) != cached.digests[i]).any()
        progress("Checking pictures", number, len(touched))
    return changed


def _digest(path: Path) -> UInt8[np.ndarray, " 16"]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).digest()
    return np.frombuffer(digest, np.uint8)


def _stamp(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def _flush(cached: CachedMaps) -> None:
    for array in (*cached.maps.values(), cached.stamps, cached.digests):
        array.flush()
