"""What every data set is once it is read: pictures, splits, labels, annotations, and boxes where there are some."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, Int8
from torch import Tensor

from zerotag.datasets.sparse import SparseAnnotations
from zerotag.errors import UnknownNameError, ZerotagError

TRAIN, TEST = "train", "test"
TRAINING, TESTING = {"train", "training"}, {"test", "testing"}
WORD_ENDS = re.compile(r"[\W\d_]+|(?<=[a-z])(?=[A-Z])")


def words_of(name: str) -> set[str]:
    """The words in a name, in small letters; they end where letters end, or where a capital follows a small one."""
    return {word.casefold() for word in WORD_ENDS.split(name)}


def split_named(file: Path) -> str:
    """The split that a word of a file's name tells.

    Raises:
        ZerotagError: it tells none.
    """
    words = words_of(file.name)
    for split, names in ((TRAIN, TRAINING), (TEST, TESTING)):
        if words & names:
            return split
    raise ZerotagError(f"{file}: its name has neither 'train' nor 'test' in it, so its split is not known; rename it")


def on_disk(folder: Path, listed: str) -> str | None:
    """The path of a picture as it lies in a folder, for the path that a table lists; None where it is not there.

    Tried in turn: the path itself, one without blanks around it and with slashes for backslashes, and this with its
    accents composed or decomposed, since macOS writes names in another Unicode form than most tables.
    """
    if _is_file(folder / listed):
        return posixpath.normpath(listed)
    plain = listed.strip().replace("\\", "/")
    forms = dict.fromkeys([plain, *(unicodedata.normalize(form, plain) for form in ("NFC", "NFD"))])
    return next((posixpath.normpath(path) for path in forms if _is_file(folder / path)), None)


def leaves_folder(listed: str) -> bool:
    """Whether a path leads out of the folder that it is relative to."""
    return posixpath.normpath(listed.strip().replace("\\", "/")).split("/")[0] == ".."


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that is too long, or has a NUL in it
        return False


@dataclass(frozen=True)
class SceneObject:
    """An object in a picture: the labels it carries, and its box.

    Attributes:
        box: left, top, right and bottom as shares of the picture's width and height.
        labels: what it is.
    """

    box: tuple[float, float, float, float]
    labels: tuple[str, ...]


@runtime_checkable
class StoredMaps(Protocol):
    """Feature maps that a data set brings along in place of pictures.

    Attributes:
        channels: number of channels by stride.
    """

    channels: dict[int, int]

    def batch(self, indices: np.ndarray) -> dict[int, Tensor]:
        """Maps of some pictures by stride, each [b, c, h, w]."""

    def record(self) -> dict[str, Any]:
        """What the maps are, as plain data."""


@dataclass(frozen=True)
class PictureDataset:
    """Pictures with annotated labels.

    Attributes:
        root: folder that the paths are relative to.
        paths: of N pictures.
        splits: "train" or "test" of each.
        labels: names of C labels.
        annotations: [N, C], 1 positive, −1 negative, 0 unknown.
        objects: the objects in each picture, where the data set knows them.
        unseen: the labels that are never trained on, where the data set fixes them; otherwise a run draws its own.
        maps: feature maps, where it has those and no pictures.
        left_out: pictures that it lists and does not hold, with the reason.
        notes: what its reader put together, passed over or decided, a sentence each.
    """

    root: Path
    paths: tuple[str, ...]
    splits: tuple[str, ...]
    labels: tuple[str, ...]
    annotations: Int8[np.ndarray, "n c"] | SparseAnnotations
    objects: tuple[tuple[SceneObject, ...], ...] | None = None
    unseen: tuple[str, ...] = ()
    maps: StoredMaps | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def picture(self, index: int) -> Path:
        """The file of a picture.

        Raises:
            ZerotagError: the data set has feature maps alone.
        """
        if self.maps is not None:
            raise ZerotagError(f"{self.root} holds feature maps and no pictures, so '{self.paths[index]}' is not there")
        return self.root / self.paths[index]

    def rows(self, split: str) -> Int[np.ndarray, " m"]:
        """Numbers of the pictures of a split."""
        return np.flatnonzero(np.array(self.splits) == split)

    def split(self, split: str) -> PictureDataset:
        """The data set cut down to a split."""
        rows = self.rows(split).tolist()
        return replace(
            self,
            paths=tuple(self.paths[i] for i in rows),
            splits=tuple(self.splits[i] for i in rows),
            annotations=self.annotations[rows],
            objects=None if self.objects is None else tuple(self.objects[i] for i in rows),
        )

    def columns(self, labels: Sequence[str]) -> Int[np.ndarray, " k"]:
        """Columns of some labels.

        Raises:
            UnknownNameError: the data set has no such label.
        """
        column = {label: c for c, label in enumerate(self.labels)}
        for label in labels:
            if label not in column:
                raise UnknownNameError(f"label in {self.root}", label, list(self.labels))
        return np.array([column[label] for label in labels], dtype=int)

    def labels_of(self, index: int) -> frozenset[str]:
        """The positive labels of a picture."""
        return frozenset(self.labels[c] for c in np.flatnonzero(self.annotations[index] == 1))
