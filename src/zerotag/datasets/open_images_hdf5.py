"""Feature maps of Open Images v4 in HDF5 files, as the code of BiAM writes them.

Files in ``train_features…`` (chunks of 640 pictures) and ``test_features…``: for each picture ``<ImageID>-features``
(512, 196) float32, ``<ImageID>-seenlabels`` int8 for the 7,186 seen labels and, for testing, ``<ImageID>-unseenlabels``
for the 2,594 candidates, of which the 400 unseen labels are taken; 1 and −1, and 0 where nothing is known. The lists of
labels are those of :mod:`zerotag.datasets.open_images`, in the same folder or its sub-folder ``2018_04``. Needs h5py.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from zerotag.datasets import open_images
from zerotag.datasets.hdf5 import FEATURES, HDF5Maps, Part, kept
from zerotag.datasets.hdf5_contents import damage_explained, open_file, stored
from zerotag.datasets.pictures import TEST, TRAIN, PictureDataset
from zerotag.datasets.sparse import SparseAnnotations
from zerotag.errors import ZerotagError

SEEN_LABELS, CANDIDATE_LABELS = "-seenlabels", "-unseenlabels"
OPEN_AT_ONCE = 64
LAYOUT = "the layout is described in docs/formats.md"

_opened = lru_cache(OPEN_AT_ONCE)(open_file)


def files_of(root: Path) -> dict[str, list[Path]]:
    """The files of each split."""
    return {
        split: sorted(file for file in root.glob(f"{split}_features*/*.h5") if file.is_file())
        for split in (TRAIN, TEST)
    }


def recognises(root: Path) -> bool:
    """Whether the folder holds such files, and the lists of labels."""
    return open_images.recognises(root) and any(files_of(root).values())


def read(root: Path) -> PictureDataset:
    """Read the layout; features stay in the files.

    Raises:
        MissingPackageError: h5py is not installed.
        ZerotagError: a file is cut off or of another form, or the lists of labels are not there.
    """
    home = open_images.home_of(root)
    seen, unseen = open_images.label_identifiers(home)
    chosen = open_images.chosen_candidates(home)
    names = open_images.label_names(home, [*seen, *unseen])
    parts = [_part(file, split) for split, files in files_of(root).items() for file in files]
    gather = partial(_entries, root, parts, len(seen), chosen)
    rows, columns, values = kept([part.file for part in parts], gather, [*seen, *unseen])
    shape = sum(len(part.names) for part in parts), len(names)
    return PictureDataset(
        root,
        tuple(name for part in parts for name in part.names),
        tuple(part.split for part in parts for _ in part.names),
        tuple(names),
        SparseAnnotations(rows, columns, values, shape),
        unseen=tuple(names[len(seen) :]),
        maps=HDF5Maps(parts),
    )


def _part(file: Path, split: str) -> Part:
    with damage_explained(file):
        opened = _opened(file)
        names = tuple(key.removesuffix(FEATURES) for key in opened if key.endswith(FEATURES))
        if not names:
            raise ZerotagError(f"{file} holds no '<ImageID>{FEATURES}'; {LAYOUT}")
        shape = stored(file, opened, names[0] + FEATURES).shape

    def features(rows: list[int]) -> np.ndarray:
        with damage_explained(file):
            found = [stored(file, _opened(file), names[row] + FEATURES)[()] for row in rows]
        if odd := [one.shape for one in found if one.shape != shape]:
            raise ZerotagError(f"{file} has features of {shape} and of {odd[0]}; {LAYOUT}")
        return np.stack(found)

    if len(shape) != 2 or round(shape[1] ** 0.5) ** 2 != shape[1]:
        raise ZerotagError(f"{file}: '{names[0]}{FEATURES}' is {shape}, not channels by positions of a square")
    return Part(file, split, names, features, shape)


def _entries(root: Path, parts: list[Part], num_seen: int, chosen: np.ndarray) -> np.ndarray:
    """Row, column and value of all that is known, [3, K]."""
    entries, first = [], 0
    for part in parts:
        for row, known in enumerate(_known(part, num_seen, chosen), start=first):
            columns = np.flatnonzero(known)
            entries.append(np.stack([np.full(len(columns), row), columns, known[columns]]).astype(np.int32))
        first += len(part.names)
    found = np.concatenate(entries, axis=1)
    if wrong := sorted(set(np.unique(found[2]).tolist()) - {-1, 1}):
        raise ZerotagError(f"{root}: a label is {wrong[0]}; 1, 0 and -1 were expected; {LAYOUT}")
    return found


def _known(part: Part, num_seen: int, chosen: np.ndarray) -> Iterator[np.ndarray]:
    """What is known of each picture: seen labels, then unseen ones."""
    opened = _opened(part.file)
    for name in part.names:
        with damage_explained(part.file):
            seen = _labels(part, opened, name + SEEN_LABELS)
            if len(seen) != num_seen:
                raise ZerotagError(f"{part.file}: '{name}' has {len(seen)} seen labels, not {num_seen}; {LAYOUT}")
            if part.split == TRAIN:
                yield np.concatenate([seen, np.zeros(len(chosen), np.int8)])
                continue
            candidates = _labels(part, opened, name + CANDIDATE_LABELS)
            if len(candidates) <= chosen.max():
                raise ZerotagError(
                    f"{part.file}: '{name}' has {len(candidates)} candidates for unseen labels, and "
                    f"number {chosen.max()} was chosen; {LAYOUT}"
                )
            yield np.concatenate([seen, candidates[chosen]])


def _labels(part: Part, opened: Any, key: str) -> np.ndarray:
    if key not in opened:
        raise ZerotagError(f"{part.file}: '{key}' is not there beside its features; {LAYOUT}")
    return np.asarray(stored(part.file, opened, key)[()], np.int8)
