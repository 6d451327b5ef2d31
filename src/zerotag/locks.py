"""Locks on what several processes may write: one at a time, and a process that dies gives its lock back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from zerotag.errors import ZerotagError

NAME = ".lock"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the only process that makes ``folder``; others wait here until it is made, or its maker has died."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        yield


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
        lock = FileLock(folder / NAME, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise ZerotagError(
            f"another process is writing to {folder} at this moment; wait until it has ended, or {instead}"
        ) from error
    except OSError as error:
        raise ZerotagError(f"{folder} cannot be written ({error.strerror}); {instead}") from error
    try:
        yield
    finally:
        lock.release()
