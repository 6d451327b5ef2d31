"""Feature maps of a data set's pictures, extracted once by a frozen backbone and kept on disk in half precision.

A folder in the cache holds one data set's maps of one backbone: an array a stride, and for each picture the digest of
the content that its maps were made from. A picture's digest is written after its maps, so one that was interrupted
counts as not done.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import UInt8

from zerotag.backbones import Backbone
from zerotag.checked_arrays import ROWS_AT_ONCE, add_sums, finite_rows, lay_out
from zerotag.datasets import PictureDataset
from zerotag.errors import UnwritableError, ZerotagError
from zerotag.images import open_picture
from zerotag.locks import alone
from zerotag.maps_on_disk import INDEX, MapsOnDisk, begin, file_of, read_index, unless_made_anew
from zerotag.prefetch import prefetched
from zerotag.progress import Progress, silent
from zerotag.storage import NAME_KEPT, cache_folder, full_disk_explained, laid_out, mapped, write_atomically
from zerotag.strides import STRIDES, WHOLE

BATCH_SIZE = 16
DIGEST_BYTES = 16


class CachedMaps(MapsOnDisk):
    """Feature maps that were extracted from pictures.

    Attributes:
        digests: of the content that a picture's maps were made from, zero where there are none yet.
        stamps: size and time of change of that content's file, so that unchanged files need not be read again.
    """

    def __init__(self, folder: Path, cure: str, *, writable: bool = False) -> None:
        mode: Literal["r", "r+"] = "r+" if writable else "r"
        index = read_index(folder) or {}
        paths, strides = index.get("paths"), index.get("strides")
        if not isinstance(paths, list) or not isinstance(strides, list) or not set(strides) <= {*STRIDES, WHOLE}:
            raise ZerotagError(f"{folder / INDEX} is damaged; delete the folder {folder}")
        super().__init__(folder, paths, strides, cure, mode)
        self.digests, self.stamps = mapped(folder / "digests.npy", mode), mapped(folder / "stamps.npy", mode)
        if (self.digests.shape, self.stamps.shape) != ((len(self), DIGEST_BYTES), (len(self), 2)):
            raise ZerotagError(f"digests.npy or stamps.npy is damaged; delete the folder {folder}")

    @property
    def done(self) -> np.ndarray:
        """Which pictures have maps."""
        return np.asarray(self.digests.any(1))


def extract_features(dataset: PictureDataset, backbone: Backbone, *, progress: Progress = silent) -> CachedMaps:
    """Maps of all pictures; those that are there, whole and still fit are left, the others are made.

    Of several processes one extracts, and the others wait until it has ended. Where the cache may only be read, all
    must be there.

    Disk: 141 kB a picture for EfficientNet-Lite0 at 224 pixels. Memory: a few batches of 16 pictures.

    Raises:
        BadPictureError: a picture cannot be decoded.
        ZerotagError: the disk is full, or a number of a map does not fit into half precision.
    """
    folder, cure = _folder(dataset, backbone), _command(dataset, backbone)
    try:
        with alone(folder):
            _fill(folder, dataset, backbone, progress)
            return CachedMaps(folder, cure)
    except UnwritableError:
        cached = unless_made_anew(folder, lambda: CachedMaps(folder, cure))
        if cached is None or cached.paths != dataset.paths or _to_do(cached, dataset, progress):
            raise
        return cached


def cached_features(dataset: PictureDataset, backbone: Backbone, *, progress: Progress = silent) -> CachedMaps:
    """Maps of all pictures, extracted now where they are missing.

    Raises:
        ZerotagError: pictures were changed, added or taken away since their maps were made.
    """
    folder, cure = _folder(dataset, backbone), _command(dataset, backbone)
    if read_index(folder) is not None:
        cached = unless_made_anew(folder, lambda: CachedMaps(folder, cure))
        if cached is not None:
            if cached.paths != dataset.paths:
                raise ZerotagError(
                    f"pictures were added to {dataset.root} or taken away since its maps were made; {cure}"
                )
            if stale := np.flatnonzero(cached.done & _changed(cached, dataset, progress)).tolist():
                raise ZerotagError(
                    f"{len(stale)} pictures in {dataset.root} changed since their feature maps were made, such as "
                    f"'{dataset.paths[stale[0]]}'; {cure}"
                )
            if cached.done.all() and cached.is_checked:
                return cached
    return extract_features(dataset, backbone, progress=progress)


def _folder(dataset: PictureDataset, backbone: Backbone) -> Path:
    identity = json.dumps([str(dataset.root.resolve()), backbone.record()], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return cache_folder() / "features" / f"{dataset.root.name[:NAME_KEPT]}-{backbone.name}-{digest}"


def _command(dataset: PictureDataset, backbone: Backbone) -> str:
    again = (
        f"run: zerotag features {dataset.root} --backbone {backbone.name} --size-px {backbone.preprocessing.size_px}"
    )
    return again if backbone.map_side is None else f"{again} --map-side {backbone.map_side}"


def _fill(folder: Path, dataset: PictureDataset, backbone: Backbone, progress: Progress) -> None:
    """Make the maps that are missing; nobody else does at this moment."""
    cure = _command(dataset, backbone)
    try:
        cached = CachedMaps(folder, cure)
    except UnwritableError:
        raise
    except ZerotagError:
        cached = None
    if cached is None or cached.paths != dataset.paths:
        _begin(folder, dataset, backbone)
    for stride in CachedMaps(folder, cure).maps:
        add_sums(file_of(folder, stride))
    if todo := _to_do(CachedMaps(folder, cure), dataset, progress):
        _extract(CachedMaps(folder, cure, writable=True), todo, dataset, backbone, progress)


def _begin(folder: Path, dataset: PictureDataset, backbone: Backbone) -> None:
    """Lay out empty arrays; ``index.json`` comes last and says that they are there."""
    begin(folder)
    side, number = backbone.preprocessing.size_px, len(dataset.paths)
    with torch.inference_mode():
        maps = backbone(torch.zeros(1, side, side, 3, dtype=torch.uint8))
    try:
        for stride, one in maps.items():
            lay_out(file_of(folder, stride), np.float16, (number, *one.shape[1:]))
        laid_out(folder / "digests.npy", np.uint8, (number, DIGEST_BYTES))
        laid_out(folder / "stamps.npy", np.int64, (number, 2))
        index = {"paths": dataset.paths, "strides": list(maps), "backbone": backbone.record()}
        write_atomically(folder / INDEX, json.dumps(index))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _extract(
    cached: CachedMaps, todo: list[int], dataset: PictureDataset, backbone: Backbone, progress: Progress
) -> None:
    finished = len(cached) - len(todo)

    def read(rows: list[int]) -> tuple[list[Any], torch.Tensor]:
        marks = [(_stamp(path), _digest(path)) for path in map(dataset.picture, rows)]
        pixels = [backbone.preprocessing.pixels(open_picture(dataset.picture(i))) for i in rows]
        return marks, torch.from_numpy(np.stack(pixels))

    def extract(batch: tuple[list[int], tuple[list[Any], torch.Tensor]]) -> dict[int, np.ndarray]:
        rows, (_, pixels) = batch
        with torch.inference_mode():
            maps = {stride: maps.half().numpy() for stride, maps in backbone(pixels).items()}
        for array in maps.values():
            if not (fits := finite_rows(array)).all():
                raise ZerotagError(
                    f"{backbone.name} makes of '{dataset.paths[rows[fits.argmin()]]}' feature maps that do not fit "
                    "into half precision, or are no numbers; take the picture out, or choose another backbone"
                )
        return maps

    batches = (todo[start : start + BATCH_SIZE] for start in range(0, len(todo), BATCH_SIZE))
    reading = prefetched(read, batches)
    extracting = prefetched(extract, reading, 2) if backbone.has_own_threads else ((b, extract(b)) for b in reading)
    for (rows, (marks, _)), maps in extracting:
        for stride, array in maps.items():
            cached.maps[stride].write(np.array(rows), array)
        cached.stamps[rows], cached.digests[rows] = (list(column) for column in zip(*marks, strict=True))
        finished += len(rows)
        progress("Extracting feature maps", finished, len(cached))
    with full_disk_explained(cached.folder):
        for maps_of_stride in cached.maps.values():
            maps_of_stride.flush()
        cached.stamps.flush()
        cached.digests.flush()


def _to_do(cached: CachedMaps, dataset: PictureDataset, progress: Progress) -> list[int]:
    """Pictures that have no maps yet, or damaged ones, or have changed since these were made."""
    missing = ~cached.done | _changed(cached, dataset, progress)
    for start in range(0, len(cached), ROWS_AT_ONCE):
        rows = start + np.flatnonzero(~missing[start : start + ROWS_AT_ONCE])
        for maps in cached.maps.values():
            missing[rows[maps.damaged(rows)]] = True
        progress("Checking feature maps", min(start + ROWS_AT_ONCE, len(cached)), len(cached))
    return np.flatnonzero(missing).tolist()


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
