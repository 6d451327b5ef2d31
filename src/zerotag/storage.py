"""Where zerotag keeps things on disk, and how a file is written so that a crash never leaves half of one."""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.lib.format import open_memmap

from zerotag.errors import ZerotagError

CACHE = "ZEROTAG_CACHE"
NAME_KEPT = 40  # characters of a file's name in that of its temporary file, which may have 255 bytes


def cache_folder() -> Path:
    """The folder for downloads, features and label vectors: ``$ZEROTAG_CACHE`` or ``~/.cache/zerotag``.

    Raises:
        ZerotagError: it cannot be made, or nobody knows where the home folder is.
    """
    named = os.environ.get(CACHE)
    try:
        folder = Path(named) if named else Path.home() / ".cache" / "zerotag"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # the latter where there is no home folder
        reason = f"{folder}: {error.strerror}" if isinstance(error, OSError) else str(error).rstrip(".")
        raise ZerotagError(
            f"there is no place for the cache ({reason}); set {CACHE} to a folder where you may write"
        ) from error
    return folder


@contextmanager
def full_disk_explained(path: Path) -> Iterator[None]:
    """Turn "no space left on device" into a sentence that names the file; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ZerotagError(
                f"the disk is full, so {path} was not written; free some space and run the command again"
            ) from error
        raise


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write ``path`` whole or not at all: temporary file, fsync, rename, fsync of the folder.

    Raises:
        ZerotagError: the disk is full. Whatever stood at ``path`` before stands there still.
    """
    data = content.encode() if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    with full_disk_explained(path), whole_or_not_at_all(path) as partial:
        partial.write_bytes(data)


@contextmanager
def whole_or_not_at_all(path: Path) -> Iterator[Path]:
    """A place to write a file to, which becomes ``path`` when all went well, and is deleted when not.

    Owner, permissions and extended attributes of a file that was there are kept.
    """
    partial = path.with_name(f".{path.name[:NAME_KEPT]}.{os.getpid()}-{threading.get_ident()}.partial")
    try:
        yield partial
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        _keep_owner_and_attributes(path, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


def _keep_owner_and_attributes(path: Path, partial: Path) -> None:
    with suppress(FileNotFoundError):
        if hasattr(os, "chown"):
            with suppress(PermissionError):  # only the superuser may give a file away
                os.chown(partial, path.stat().st_uid, path.stat().st_gid)
        shutil.copystat(path, partial)
        os.utime(partial)


def mapped(file: Path, mode: Literal["r", "r+"] = "r") -> np.memmap[Any, Any]:
    """The array in a file that zerotag keeps, mapped.

    Raises:
        ZerotagError: the file is not whole.
    """
    try:
        return open_memmap(file, mode)
    except (OSError, ValueError) as error:
        raise ZerotagError(f"{file} is damaged ({error}); delete the folder {file.parent}") from error


def reserve(file: Path) -> None:
    """Take the disk space of a file that is to be written through a map: a disk that fills later kills the process.

    Raises:
        OSError: the disk is full.
    """
    if hasattr(os, "posix_fallocate"):
        with file.open("r+b") as opened:
            os.posix_fallocate(opened.fileno(), 0, file.stat().st_size)


def sync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
