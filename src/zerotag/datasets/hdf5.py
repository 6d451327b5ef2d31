"""Feature maps in HDF5 files, as two lines of work hand them round for NUS-WIDE.

*A data set a picture*, from the code of BiAM and those that build on it: ``<name>-features`` (512, 196) float32, the
last convolution of VGG19 on a grid of 14 by 14; ``<name>-labels`` int8, 1 and −1, 925 numbers for the seen labels in
the training file, 1,006 in the test file, seen first; ``<name>-labels_81``. The name is the picture's path with ``_``
for ``/``.

*A table*, from generative methods: ``image_files``, ``features`` (N, 4096) float32, ``labels`` (N, 925 or 1006).

A file whose name has "train" in it holds training pictures, one with "test" test pictures. The lists of labels,
``TagList1k.txt`` and ``Concepts81.txt``, lie beside the files or one folder up. Needs h5py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int8

from zerotag.checked_arrays import CheckedArray, keep
from zerotag.datasets.coco_files import has_tables
from zerotag.datasets.hdf5_contents import damage_explained, open_file, stored
from zerotag.datasets.pictures import PictureDataset, split_named
from zerotag.errors import ZerotagError
from zerotag.locks import alone
from zerotag.nus_wide_lists import home_of_lists, label_lists, seen_tags
from zerotag.storage import NAME_KEPT, cache_folder
from zerotag.strides import WHOLE

SUFFIXES = (".h5", ".hdf5")
FEATURES, LABELS, CONCEPTS = "-features", "-labels", "-labels_81"
CHANNELS, POSITIONS = 512, 196
LAYOUT = "the layouts are described in docs/formats.md"


@dataclass(frozen=True)
class Part:
    """One file: its split, its pictures, and how a picture's feature is read."""

    file: Path
    split: str
    names: tuple[str, ...]
    read: Callable[[list[int]], np.ndarray]
    shape: tuple[int, int]


class HDF5Maps:
    """Maps read from the files when they are asked for, picture by picture.

    Maps of 14 by 14 positions have stride 16; that of stride 32 is their maximum over two by two, which is VGG19's last
    pooling. A vector is the feature of the whole picture.
    """

    def __init__(self, parts: list[Part]) -> None:
        self.parts = parts
        channels, positions = parts[0].shape
        self.side = round(positions**0.5)
        self.channels = {16: channels, 32: channels} if self.side > 1 else {WHOLE: channels}
        self._first = np.cumsum([0, *(len(part.names) for part in parts)])

    def batch(self, indices: np.ndarray) -> dict[int, torch.Tensor]:
        """Maps of some pictures by stride, each [b, c, h, w]."""
        of_part = np.searchsorted(self._first, indices, side="right") - 1
        found = np.empty((len(indices), *self.parts[0].shape), np.float32)
        for number, part in enumerate(self.parts):
            chosen = np.flatnonzero(of_part == number)
            if len(chosen):
                found[chosen] = part.read((indices[chosen] - self._first[number]).tolist())
        maps = torch.from_numpy(found).unflatten(2, (self.side, self.side))
        return {16: maps, 32: F.max_pool2d(maps, 2)} if self.side > 1 else {WHOLE: maps}

    def record(self) -> dict[str, Any]:
        """What the maps are, as plain data."""
        return {
            "name": "maps in HDF5 files",
            "files": {part.file.name: part.file.stat().st_size for part in self.parts},
            "channels": {str(stride): number for stride, number in self.channels.items()},
        }


def files_of(root: Path) -> list[Path]:
    """The HDF5 files of a folder, or of the folder ``features`` in it; training comes first."""
    for folder in (root, root / "features"):
        if folder.is_dir() and (files := [f for f in sorted(folder.iterdir()) if f.suffix in SUFFIXES and f.is_file()]):
            return sorted(files, key=lambda file: "train" not in file.stem.lower())
    return []


def recognises(root: Path) -> bool:
    """Whether the folder holds HDF5 files, and no tables of labels."""
    return bool(files_of(root)) and not has_tables(root)


def read(root: Path) -> PictureDataset:
    """Read the layout; features stay in the files.

    Raises:
        MissingPackageError: h5py is not installed.
        ZerotagError: a file is cut off, of an unknown layout or of other shapes, or the lists of labels are not there.
    """
    tags, concepts = label_lists(home_of_lists(root))
    seen = seen_tags(tags, concepts)
    parts, annotations = [], []
    for file in files_of(root):
        opened = open_file(file)
        with damage_explained(file):
            part, labels = _table(file, opened) if "image_files" in opened else _picture_by_picture(file, opened)
            annotations.append(kept([file], partial(_annotations, part, labels, seen, concepts), [*seen, *concepts]))
        parts.append(part)
    if len({part.shape for part in parts}) > 1:
        shapes = ", ".join(f"{part.file.name} {part.shape}" for part in parts)
        raise ZerotagError(f"the features in {root} differ in shape: {shapes}; they cannot be of one data set")
    return PictureDataset(
        root,
        tuple(name for part in parts for name in part.names),
        tuple(part.split for part in parts for _ in part.names),
        (*seen, *concepts),
        np.concatenate(annotations),
        unseen=tuple(concepts),
        maps=HDF5Maps(parts),
    )


def _picture_by_picture(file: Path, opened: Any) -> tuple[Part, Callable[[], Iterator[tuple[Any, Any]]]]:
    names = tuple(key.removesuffix(FEATURES) for key in opened if key.endswith(FEATURES))
    if not names:
        raise ZerotagError(f"{file} holds neither '<picture>{FEATURES}' nor 'image_files'; {LAYOUT}")
    shape = stored(file, opened, names[0] + FEATURES).shape
    if shape == (4096,):
        raise ZerotagError(
            f"{file} holds vectors of 4096 numbers, the output of VGG19's last but one layer, where maps of {CHANNELS} "
            f"by {POSITIONS} were expected: it was written by another script and knows no positions; {LAYOUT}"
        )
    if shape != (CHANNELS, POSITIONS):
        raise ZerotagError(f"{file}: '{names[0]}{FEATURES}' is {shape}, not ({CHANNELS}, {POSITIONS}); {LAYOUT}")

    def features(rows: list[int]) -> np.ndarray:
        with damage_explained(file):
            return np.stack([stored(file, opened, names[row] + FEATURES, (CHANNELS, POSITIONS))[()] for row in rows])

    def labels() -> Iterator[tuple[Any, Any]]:
        for name in names:
            if name + LABELS not in opened:
                raise ZerotagError(f"{file}: '{name}{LABELS}' is not there beside its features; {LAYOUT}")
            concepts = stored(file, opened, name + CONCEPTS)[()] if name + CONCEPTS in opened else None
            yield stored(file, opened, name + LABELS)[()], concepts

    return Part(file, split_named(file), names, features, (CHANNELS, POSITIONS)), labels


def _table(file: Path, opened: Any) -> tuple[Part, Callable[[], Iterator[tuple[Any, Any]]]]:
    if missing := [key for key in ("features", "labels") if key not in opened]:
        raise ZerotagError(f"{file} has 'image_files' but no '{missing[0]}'; {LAYOUT}")
    names = tuple(
        name.decode() if isinstance(name, bytes) else str(name) for name in stored(file, opened, "image_files")[()]
    )
    table, labelled = stored(file, opened, "features", by_row=True), stored(file, opened, "labels", by_row=True)
    if table.ndim != 2 or {len(table), len(labelled)} != {len(names)}:
        raise ZerotagError(
            f"{file}: {len(names)} names, features {table.shape} and labels {labelled.shape} do not fit "
            f"together; {LAYOUT}"
        )

    def features(rows: list[int]) -> np.ndarray:
        order = np.argsort(rows)
        with damage_explained(file):
            chosen = table[np.array(rows)[order]]  # h5py wants rows in rising order
        return np.asarray(chosen[np.argsort(order)][:, :, None])

    def labels() -> Iterator[tuple[Any, Any]]:
        return ((row, None) for row in labelled)

    return Part(file, split_named(file), names, features, (table.shape[1], 1)), labels


def _annotations(
    part: Part, labels: Callable[[], Iterator[tuple[Any, Any]]], seen: list[str], concepts: list[str]
) -> Int8[np.ndarray, "n c"]:
    """Seen labels, then concepts; concepts are unknown where the file has none."""
    annotations = np.zeros((len(part.names), len(seen) + len(concepts)), np.int8)
    for row, (main, human) in enumerate(labels()):
        if len(main) not in (len(seen), len(seen) + len(concepts)):
            raise ZerotagError(
                f"{part.file}: '{part.names[row]}' has {len(main)} labels; {len(seen)} or {len(seen) + len(concepts)} "
                f"were expected from the lists of labels; {LAYOUT}"
            )
        annotations[row, : len(main)] = main
        if human is not None and len(main) == len(seen):
            annotations[row, len(seen) :] = human
    lowest, highest = int(annotations.min(initial=0)), int(annotations.max(initial=0))
    if (lowest, highest) != (-1, 1):
        raise ZerotagError(f"{part.file}: labels go from {lowest} to {highest}; 1 and -1 were expected; {LAYOUT}")
    return annotations


def kept(files: list[Path], make: Callable[[], np.ndarray], labels: list[str]) -> np.ndarray:
    """What ``make`` gathers of annotations, from the cache where neither files nor labels have changed.

    To gather them takes minutes at full size.
    """
    states = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    digest = hashlib.sha256(json.dumps([states, labels]).encode()).hexdigest()[:16]
    place = cache_folder() / "annotations" / f"{files[0].stem[:NAME_KEPT]}-{digest}.npy"
    if not place.exists():
        with alone(place):
            if not place.exists():  # nobody else has gathered them meanwhile
                keep(place, make())
    return CheckedArray(place).check()
