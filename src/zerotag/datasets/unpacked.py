"""TFRecord files of feature maps, unpacked once into the cache in half precision: 201 kB a picture.

A compressed stream can only be read from its start; unpacked, pictures are read in any order at the speed of the disk.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
import torch.nn.functional as F
from scipy.sparse import csr_array, load_npz, save_npz

from zerotag.checked_arrays import CheckedArray, add_sums
from zerotag.datasets.tfrecord import parse_example, records
from zerotag.errors import ZerotagError
from zerotag.locks import alone
from zerotag.storage import NAME_KEPT, cache_folder, full_disk_explained

CHANNELS, SIDE = 512, 14
NAME, FEATURE = "img_id", "feature"
NAMES = "names.json"
LAYOUT = "the layout is described in docs/formats.md"


@dataclass(frozen=True)
class Labels:
    """The labels of a record: 1, −1 and 0 as raw numbers, under one key or several.

    Attributes:
        sizes: how many labels by key, in the order in which they are put one after the other.
        dtype: of the numbers.
    """

    sizes: dict[str, int]
    dtype: str


@dataclass(frozen=True)
class Unpacked:
    """What was in a file.

    Attributes:
        names: of N pictures.
        maps: [N, 512, 14, 14] in half precision, memory-mapped and checked.
        labels: those of all keys, [N, C].
    """

    names: list[str]
    maps: CheckedArray
    labels: csr_array


def files_of(root: Path) -> list[Path]:
    """The TFRecord files of a folder; training comes first."""
    found = [file for file in root.iterdir() if ".tfrecord" in file.name and file.is_file()] if root.is_dir() else []
    return sorted(found, key=lambda file: ("train" not in file.name.lower(), file.name))


class UnpackedMaps:
    """Maps in the cache, memory-mapped: those of stride 16, and their maximum over two by two for stride 32."""

    def __init__(self, parts: dict[str, CheckedArray]) -> None:
        self.parts = parts
        self.channels = {16: CHANNELS, 32: CHANNELS}
        self._first = np.cumsum([0, *(len(part) for part in parts.values())])

    def batch(self, indices: np.ndarray) -> dict[int, torch.Tensor]:
        """Maps of some pictures by stride, each [b, c, h, w], in half precision."""
        found = np.empty((len(indices), CHANNELS, SIDE, SIDE), np.float16)
        of_part = np.searchsorted(self._first, indices, side="right") - 1
        for number, part in enumerate(self.parts.values()):
            chosen = of_part == number
            found[chosen] = part.read(indices[chosen] - self._first[number])
        maps = torch.from_numpy(found)
        return {16: maps, 32: F.max_pool2d(maps.float(), 2).half()}

    def record(self) -> dict[str, Any]:
        """What the maps are, as plain data."""
        return {
            "name": "maps in TFRecord files",
            "pictures": {file: len(part) for file, part in self.parts.items()},
            "channels": {str(stride): number for stride, number in self.channels.items()},
        }


def unpack(file: Path, forms: Sequence[Labels]) -> Unpacked:
    """The content of a file, from the cache where it was unpacked before; written there whole or not at all.

    Args:
        file: of records with ``img_id``, ``feature`` (196, 512) float32 and labels.
        forms: what the labels may look like; the first whose keys a record has is taken.

    Raises:
        MissingPackageError: google-crc32c is not installed.
        ZerotagError: the file is cut off, damaged or of another layout, or the disk is full.
    """
    state = file.stat()
    identity = f"{file.resolve()} {state.st_size} {state.st_mtime_ns} {forms}"
    digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
    folder = cache_folder() / "unpacked" / f"{file.name.split('.')[0][:NAME_KEPT]}-{digest}"
    if not folder.exists():
        with alone(folder):
            if not folder.exists():  # nobody else has unpacked it meanwhile
                _unpack_whole(file, folder, forms)
    return _opened(folder)


def _unpack_whole(file: Path, folder: Path, forms: Sequence[Labels]) -> None:
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        with full_disk_explained(partial):
            _unpack(file, partial, forms)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _opened(folder: Path) -> Unpacked:
    maps = CheckedArray(folder / "maps.npy")
    try:
        names = _read_names(folder / NAMES)
        with (folder / "labels.npz").open("rb") as packed:
            labels = csr_array(load_npz(packed))
        if not len(names) == len(maps) == labels.shape[0] or maps.rows.shape[1:] != (CHANNELS, SIDE, SIDE):
            raise ValueError(f"{len(names)} names, {labels.shape[0]} rows of labels, maps {maps.rows.shape}")
    except (OSError, ValueError, KeyError, TypeError, BadZipFile, zlib.error) as error:
        raise ZerotagError(f"what was unpacked in {folder} is damaged ({error}); delete that folder") from error
    return Unpacked(names, maps, labels)


def _read_names(file: Path) -> list[str]:
    """Names of the pictures; an earlier version of zerotag kept no checksum of them."""
    found = json.loads(file.read_text())
    names = found["names"] if isinstance(found, dict) else found
    if isinstance(found, dict) and found["crc32"] != _crc32(names):
        raise ValueError(f"{file.name} does not have the content that was written")
    return [str(name) for name in names]


def _crc32(names: list[str]) -> int:
    return zlib.crc32(json.dumps(names).encode())


def _unpack(file: Path, folder: Path, forms: Sequence[Labels]) -> None:
    names, columns, values = [], [], []
    with (folder / "maps").open("wb") as raw:
        for number, record in enumerate(records(file), start=1):
            where = f"{file}, record {number}"
            name, feature, labels = _example(where, record, forms)
            with np.errstate(over="ignore"):
                half = feature.astype(np.float16)
            if not np.isfinite(half).all():
                raise ZerotagError(f"{where}: a feature is too large for half precision, or no number; {LAYOUT}")
            raw.write(half.tobytes())
            names.append(name)
            columns.append(np.flatnonzero(labels).astype(np.int32))
            values.append(labels[columns[-1]])
    if not names:
        raise ZerotagError(f"{file} holds no records; {LAYOUT}")
    _with_header(folder / "maps", folder / "maps.npy", (len(names), CHANNELS, SIDE, SIDE))
    add_sums(folder / "maps.npy")
    starts = np.cumsum([0, *map(len, columns)])
    shape = (len(names), len(labels))
    save_npz(folder / "labels.npz", csr_array((np.concatenate(values), np.concatenate(columns), starts), shape))
    (folder / NAMES).write_text(json.dumps({"names": names, "crc32": _crc32(names)}))


def _with_header(raw: Path, file: Path, shape: tuple[int, ...]) -> None:
    """Numbers in half precision as a NumPy file."""
    with raw.open("rb") as numbers, file.open("wb") as whole:
        np.lib.format.write_array_header_1_0(whole, {"descr": "<f2", "fortran_order": False, "shape": shape})
        shutil.copyfileobj(numbers, whole)
    raw.unlink()


def _example(where: str, record: bytes, forms: Sequence[Labels]) -> tuple[str, np.ndarray, np.ndarray]:
    try:
        found = parse_example(record)
    except ValueError as error:
        raise ZerotagError(f"{where} is no tf.train.Example ({error}); {LAYOUT}") from error
    form = next((form for form in forms if form.sizes.keys() <= found.keys()), forms[0])
    if missing := [key for key in (NAME, FEATURE, *form.sizes) if key not in found]:
        raise ZerotagError(f"{where} has no '{missing[0]}', but {', '.join(found)}; {LAYOUT}")
    for key, size in ({FEATURE: CHANNELS * SIDE**2} | form.sizes).items():
        if len(found[key]) != 4 * size:
            raise ZerotagError(f"{where}: '{key}' has {len(found[key]) / 4:g} numbers, not {size}; {LAYOUT}")
    labels = np.concatenate([np.frombuffer(found[key], form.dtype) for key in form.sizes])
    if wrong := sorted(set(np.unique(labels).tolist()) - {-1, 0, 1}):
        raise ZerotagError(f"{where}: a label is {wrong[0]:g}; 1, 0 and -1 were expected; {LAYOUT}")
    feature = np.frombuffer(found[FEATURE], "<f4").reshape(SIDE, SIDE, CHANNELS).transpose(2, 0, 1)
    return found[NAME].decode("utf-8", "replace"), feature, labels.astype(np.int8)
