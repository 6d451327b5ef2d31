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

from zerotag.errors import UnwritableError, ZerotagError

CACHE = "ZEROTAG_CACHE"
CHUNK_BYTES = 1 << 20
WITHOUT_RESERVATION = (errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.ENOSYS)
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
        if error.errno == errno.EFBIG:
            raise ZerotagError(
                f"{path} was not written: the file system, or the limit of this process (ulimit -f), takes no file so "
                "large; raise the limit, or write to another disk"
            ) from error
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
    """The array in a file that zerotag keeps, mapped; its disk space is reserved where it is to be written.

    Raises:
        UnwritableError: the file may only be read.
        ZerotagError: the file is not whole, or the disk is full.
    """
    try:
        if mode == "r+":
            with full_disk_explained(file):
                reserve(file)
        array = open_memmap(file, mode)
    except ZerotagError:
        raise
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UnwritableError(file, error) from error
        raise _damaged(file, error.strerror or str(error)) from error
    except Exception as error:  # a header of other bytes is parsed as Python: errors of many classes
        raise _damaged(file, str(error)) from error
    if (expected := array.offset + array.nbytes) != (found := size_now(array)) and array.size:
        raise _damaged(file, f"{found} bytes, not {expected}")
    return array


def size_now(array: np.memmap[Any, Any]) -> int:
    """How many bytes the file of a mapped array has at this moment: to read behind its end would kill the process."""
    opened: Any = array._mmap  # type: ignore[attr-defined]  # numpy has no public name for the map
    return int(opened.size())


def _damaged(file: Path, reason: str) -> ZerotagError:
    return ZerotagError(f"{file} is damaged ({reason}); delete the folder {file.parent}")


def laid_out(file: Path, dtype: type[np.generic], shape: tuple[int, ...]) -> np.memmap[Any, Any]:
    """A new array of zeros in a file, mapped to be written, with its disk space reserved.

    Another process that has mapped a file of that name keeps what it has.

    Raises:
        ZerotagError: the disk is full; the file is not there then.
    """
    file.unlink(missing_ok=True)
    try:
        with full_disk_explained(file):
            array = open_memmap(file, "w+", dtype, shape)
            reserve(file)
    except BaseException:
        file.unlink(missing_ok=True)
        raise
    return array


def reserve(file: Path) -> None:
    """Take the disk space of a file that is to be written through a map: a disk that fills later kills the process.

    Raises:
        OSError: the disk is full.
    """
    state = file.stat()
    if 512 * getattr(state, "st_blocks", state.st_size) >= state.st_size:
        return
    with file.open("r+b", buffering=0) as opened:
        try:
            os.posix_fallocate(opened.fileno(), 0, state.st_size)
        except (AttributeError, OSError) as error:
            if getattr(error, "errno", errno.ENOSYS) not in WITHOUT_RESERVATION:
                raise
            for start in range(0, state.st_size, CHUNK_BYTES):
                opened.seek(start)
                content = opened.read(CHUNK_BYTES)
                opened.seek(start)
                opened.write(content)


def sync_folder(folder: Path) -> None:
    """Make renames inside ``folder`` durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
