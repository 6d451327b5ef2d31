"""What an HDF5 file itself holds: numbers of other files, which it may name as its own, are not read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

from zerotag.errors import MissingPackageError, ZerotagError, shortened

MOST_BYTES = 2**28


def open_file(file: Path) -> Any:
    """An HDF5 file, opened for reading.

    Raises:
        MissingPackageError: h5py is not installed.
        ZerotagError: the file cannot be read.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingPackageError("h5py", "formats", str(file)) from error
    with damage_explained(file):
        return h5py.File(file, "r")


@contextmanager
def damage_explained(file: Path) -> Iterator[None]:
    """Turn errors of reading into a sentence that names the file."""
    try:
        yield
    except (OSError, KeyError, RuntimeError, TypeError, ValueError, MemoryError) as error:  # h5py raises any of them
        raise ZerotagError(f"{file} cannot be read, it may have been cut off: {error}") from error


def stored(file: Path, opened: Any, name: str, shape: tuple[int, ...] | None = None, *, by_row: bool = False) -> Any:
    """A data set whose numbers lie in the file.

    Args:
        file: Path of the file, for messages.
        opened: The file.
        name: Name of the data set.
        shape: What it must have.
        by_row: Whether it is read row by row, so that a row must fit into memory and not the whole.

    Raises:
        ZerotagError: it is a link, a group, kept in another file, of another shape, or too large.
    """
    import h5py

    where = f"{file}: '{shortened(name)}'"
    if not isinstance(opened.get(name, getlink=True), h5py.HardLink):
        raise ZerotagError(f"{where} is a link, which may lead to another file; copy the numbers themselves into it")
    found = opened[name]
    if not isinstance(found, h5py.Dataset) or found.shape is None:
        raise ZerotagError(f"{where} holds no numbers or texts; download the file again")
    if found.is_virtual or found.external:
        raise ZerotagError(f"{where} lies in another file; copy the numbers themselves into this one")
    if shape is not None and found.shape != shape:
        raise ZerotagError(f"{where} is {found.shape}, not {shape}; download the file again")
    at_once = found.shape[1:] if by_row else found.shape
    if max(prod(at_once), prod(found.chunks or ())) * found.dtype.itemsize > MOST_BYTES:
        raise ZerotagError(f"{where} is {found.shape}, too large for features or labels; download the file again")
    return found
