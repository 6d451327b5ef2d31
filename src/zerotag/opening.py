"""Files to be read: of what is found in a folder regular ones alone, since a pipe keeps waiting whoever opens it."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from zerotag.errors import ZerotagError


def regular(path: Path) -> Path:
    """The path of a file that may be opened: a regular one, or one that is not there, which opening it tells.

    Raises:
        ZerotagError: It is a folder, a pipe, a socket or a device.
    """
    return _of_kinds(path, stat.S_ISREG)


def named(path: Path) -> Path:
    """The same of a file that was named on the command line, which may be a pipe, as the shell's ``<(…)`` makes it.

    Raises:
        ZerotagError: It is a folder, a socket or a device; the last may have no end.
    """
    return _of_kinds(path, stat.S_ISREG, stat.S_ISFIFO)


def _of_kinds(path: Path, *kinds: Callable[[int], bool]) -> Path:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # the latter where a NUL is in the name
        return path
    if not any(is_of(mode) for is_of in kinds):
        kind = "a folder" if stat.S_ISDIR(mode) else "no regular file, but a pipe, a device or the like"
        raise ZerotagError(f"{path} is {kind}; put the file itself there")
    return path
