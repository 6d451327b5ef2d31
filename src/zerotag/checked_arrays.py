"""Arrays in files with a checksum of each row beside them, so that a bit that flips on the disk is never used."""

from __future__ import annotations

import zlib
from io import BytesIO
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt32

from zerotag.errors import ZerotagError
from zerotag.storage import laid_out, mapped, size_now, write_atomically

ROWS_AT_ONCE = 64


class DamagedRowsError(ZerotagError):
    """Rows of an array do not have the content that was written.

    Attributes:
        rows: numbers of the rows.
    """

    def __init__(self, file: Path, rows: list[int]) -> None:
        super().__init__(
            f"row {rows[0]} of {file} does not have the content that was written; delete the folder {file.parent}, it "
            "is made again"
        )
        self.rows = rows


class CheckedArray:
    """An array in a file, memory-mapped, and the CRC-32 of each row in another file.

    Args:
        file: NumPy file of the array.
        mode: "r" to read, "r+" to write too.

    Attributes:
        rows: the array; :meth:`read` checks what it reads, this does not.
        sums: of the rows; None where an earlier version of zerotag wrote none, nothing is checked then.

    Raises:
        ZerotagError: a file is damaged.
    """

    def __init__(self, file: Path, mode: Literal["r", "r+"] = "r") -> None:
        sums = _sums_file(file)
        self.file, self.rows = file, mapped(file, mode)
        self.sums = mapped(sums, mode) if sums.exists() else None
        if self.sums is not None and (self.sums.dtype != np.uint32 or self.sums.shape != self.rows.shape[:1]):
            raise ZerotagError(f"{sums} is damaged; delete the folder {file.parent}")

    def __len__(self) -> int:
        return len(self.rows)

    def read(self, indices: np.ndarray) -> np.ndarray:
        """Some rows.

        Raises:
            DamagedRowsError: they do not have the content that was written.
            ZerotagError: the file was cut off.
        """
        found, is_right = self._compared(indices)
        if not is_right.all():
            raise DamagedRowsError(self.file, indices[~is_right].tolist())
        return found

    def damaged(self, indices: np.ndarray) -> np.ndarray:
        """Which of some rows do not have the content that was written, or numbers that are not finite."""
        found, is_right = self._compared(indices)
        return ~is_right | ~finite_rows(found)

    def write(self, indices: np.ndarray, values: np.ndarray) -> None:
        """Write some rows and their checksums."""
        values = np.asarray(values, self.rows.dtype)
        self.rows[indices] = values
        if self.sums is not None:
            self.sums[indices] = row_sums(values)

    def check(self) -> np.ndarray:
        """The array, after a look at all of its rows.

        Raises:
            DamagedRowsError: one does not have the content that was written.
        """
        for start in range(0, len(self), ROWS_AT_ONCE):
            _, is_right = self._compared(slice(start, start + ROWS_AT_ONCE))
            if not is_right.all():
                raise DamagedRowsError(self.file, (start + np.flatnonzero(~is_right)).tolist())
        return self.rows

    def flush(self) -> None:
        """Bring what was written to the disk."""
        for array in (self.rows, self.sums):
            if array is not None:
                array.flush()

    def _compared(self, indices: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """Some rows, and which of them have the content that was written."""
        if size_now(self.rows) < self.rows.offset + self.rows.nbytes:
            raise ZerotagError(f"{self.file} was cut off while it was read; delete the folder {self.file.parent}")
        found = self.rows[indices]
        if self.sums is None:
            return found, np.ones(len(found), bool)
        return found, row_sums(found) == self.sums[indices]


def lay_out(file: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> CheckedArray:
    """A new array of zeros and its checksums.

    Raises:
        ZerotagError: the disk is full.
    """
    laid_out(_sums_file(file), np.uint32, shape[:1])
    laid_out(file, dtype, shape)
    return CheckedArray(file, "r+")


def add_sums(file: Path) -> None:
    """Give checksums to an array that an earlier version of zerotag wrote without them."""
    if not _sums_file(file).exists():
        _write(_sums_file(file), row_sums(mapped(file)))


def keep(file: Path, array: np.ndarray) -> None:
    """Write an array whole or not at all, after its checksums."""
    _write(_sums_file(file), row_sums(array))
    _write(file, array)


def _write(file: Path, array: np.ndarray) -> None:
    content = BytesIO()
    np.save(content, array)
    write_atomically(file, content.getvalue())


def row_sums(rows: np.ndarray) -> UInt32[np.ndarray, " n"]:
    """CRC-32 of each row."""
    return np.fromiter(map(zlib.crc32, np.ascontiguousarray(rows)), np.uint32, len(rows))


def finite_rows(rows: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Which rows have numbers that are all finite."""
    return np.isfinite(rows).all(axis=tuple(range(1, rows.ndim)))


def _sums_file(file: Path) -> Path:
    return file.with_suffix(".crc32.npy")
