"""Feature maps in a folder of the cache, an array a stride: read by many, while one process may make them anew."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from copy import copy
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch

from zerotag.checked_arrays import CheckedArray, DamagedRowsError
from zerotag.errors import UnwritableError, ZerotagError

INDEX = "index.json"

Opened = TypeVar("Opened")


class MapsOnDisk:
    """Feature maps on disk, memory-mapped; rows are the pictures of the data set.

    Attributes:
        folder: where they lie.
        paths: of the pictures.
        maps: by stride, [N, c, h, w] in half precision.
        cure: what the user may do where they are damaged.

    Raises:
        ZerotagError: a file is damaged.
    """

    def __init__(
        self, folder: Path, paths: Sequence[str], strides: Iterable[int], cure: str, mode: Literal["r", "r+"] = "r"
    ) -> None:
        self.folder, self.paths, self.cure = folder, tuple(paths), cure
        self.maps = {stride: CheckedArray(file_of(folder, stride), mode) for stride in strides}
        if wrong := [maps.file for maps in self.maps.values() if maps.rows.ndim != 4 or len(maps) != len(self.paths)]:
            raise ZerotagError(f"{wrong[0]} is damaged; delete the folder {folder}")

    def __len__(self) -> int:
        return len(self.paths)

    def batch(self, indices: np.ndarray) -> dict[int, torch.Tensor]:
        """Maps of some pictures by stride, each [b, c, h, w] in half precision.

        Raises:
            ZerotagError: they do not have the content that was written.
        """
        try:
            return {stride: torch.from_numpy(maps.read(indices)) for stride, maps in self.maps.items()}
        except DamagedRowsError as error:
            raise ZerotagError(
                f"the feature maps of '{self.paths[error.rows[0]]}' in {self.folder} do not have the content that was "
                f"written: the disk may be failing, or another process is writing them anew; {self.cure}"
            ) from error

    def reading(self, strides: Sequence[int]) -> MapsOnDisk:
        """The same with maps of some strides alone."""
        some = copy(self)
        some.maps = {stride: self.maps[stride] for stride in strides}
        return some

    @property
    def is_checked(self) -> bool:
        """Whether there are checksums of all the maps."""
        return all(maps.sums is not None for maps in self.maps.values())


def file_of(folder: Path, stride: int) -> Path:
    """Where the maps of a stride lie."""
    return folder / f"stride{stride}.npy"


def read_index(folder: Path) -> dict[str, Any] | None:
    """What ``index.json`` says, which is written last; None where it is not there or damaged."""
    try:
        found = json.loads((folder / INDEX).read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def begin(folder: Path) -> None:
    """Empty a folder that is to be made anew; the index goes first, so that whoever opens it meanwhile can tell.

    Raises:
        UnwritableError: it belongs to somebody else.
    """
    try:
        (folder / INDEX).unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
    except OSError as error:
        raise UnwritableError(folder, error) from error


def unless_made_anew(folder: Path, opening: Callable[[], Opened]) -> Opened | None:
    """What ``opening`` finds in a folder, unless another process took it away or made it anew meanwhile.

    Raises:
        ZerotagError: that of ``opening``, where no other process is to blame.
    """
    if (before := _version(folder)) is None:
        return None
    try:
        opened = opening()
    except ZerotagError:
        if _version(folder) != before:
            return None
        raise
    return opened if _version(folder) == before else None


def _version(folder: Path) -> tuple[int, int] | None:
    try:
        state = (folder / INDEX).stat()
    except OSError:
        return None
    return state.st_ino, state.st_mtime_ns
