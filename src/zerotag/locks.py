"""Locks on what several processes may write: one at a time, and a process that dies gives its lock back."""

from __future__ import annotations

import errno
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from zerotag.errors import UnwritableError, ZerotagError, shown

NAME = ".lock"
SILENT_SECONDS = 1.0
FOREVER, AT_ONCE = -1.0, 0.0
WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP)


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """Be the only process that makes ``place``; others wait here until it is made, or its maker has died.

    Whoever waits for longer than a second is told of it. The lock is a file beside ``place``, which all may hold that
    may write to the folder.

    Raises:
        UnwritableError: Nothing can be written there.
    """
    place = place.resolve()
    file = place.with_name(f".{place.name}.lock")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock = _acquired(file, SILENT_SECONDS)
        except Timeout:
            logging.getLogger(__name__).warning(
                "%s is being written by another process; waiting until it has ended", shown(str(place))
            )
            lock = _acquired(file, FOREVER)
    except OSError as error:
        raise UnwritableError(place, error) from error
    try:
        yield
    finally:
        lock.release()


@contextmanager
def held(folder: Path, instead: str) -> Iterator[None]:
    """Be the only process that writes to ``folder``, which is made where it is not there; others are refused.

    Args:
        folder: Folder to hold, by a lock on a file in it.
        instead: What the user may do rather than wait, such as "choose another --out".

    Raises:
        ZerotagError: Another process holds the folder, or it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = _acquired(folder / NAME, AT_ONCE)
    except Timeout as error:
        raise ZerotagError(
            f"another process is writing to {folder} at this moment; wait until it has ended, or {instead}"
        ) from error
    except OSError as error:
        raise ZerotagError(f"{folder} cannot be written ({error.strerror or error}); {instead}") from error
    try:
        yield
    finally:
        lock.release()


def _acquired(file: Path, timeout: float) -> BaseFileLock:
    """A lock on a file, by the file's existence where the file system knows no locks."""
    mode = file.parent.stat().st_mode & 0o666
    lock: BaseFileLock = FileLock(file, timeout, mode)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that it falls back to the file's existence
        try:
            lock.acquire()
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            lock = SoftFileLock(file.with_name(f"{file.name}.held"), timeout, mode)
            lock.acquire()
    return lock
