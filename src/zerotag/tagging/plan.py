"""What of a folder is new to its catalogue, what is gone, and what could not be read before."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from zerotag.errors import ZerotagError
from zerotag.images import SUFFIXES
from zerotag.tagging.catalogue import Catalogue, File
from zerotag.tagging.tagger import Tagger

NO_UTF8 = "its name is no UTF-8 text; rename it"


@dataclass(frozen=True)
class Plan:
    """What of a folder is to be done.

    Attributes:
        found: every picture's path below the folder.
        new: those to be read.
        gone: paths that the catalogue has and the folder has not.
        failures: of earlier runs, which are not tried again.
    """

    found: list[File]
    new: list[File]
    gone: list[str]
    failures: dict[str, str]


def plan(
    folder: Path,
    place: Path,
    tagger: Tagger,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    retry_failed: bool = False,
) -> Plan:
    """Compare a folder with what its catalogue has of it; files of the same size and time of change are not read.

    Nothing is written, and no catalogue made.

    Args:
        folder: of pictures, with its sub-folders.
        place: of its catalogue, which need not be there.
        tagger: whose vectors are wanted.
        include: patterns such as "*.jpg" or "trips/*", of which a path must match one, if there are any.
        exclude: patterns of which it must match none.
        retry_failed: read again what could not be read.

    Raises:
        ZerotagError: there is no such folder, or no picture in it.
    """
    named = list(_scan(folder, include, exclude))
    found = [file for file in named if _is_text(file.path)]
    if not named:
        kinds = ", ".join(sorted(SUFFIXES))
        raise ZerotagError(f"{folder} holds no pictures (files ending in {kinds}{' that match' if include else ''})")
    earlier: dict[str, File] = {}
    with_vectors: set[bytes] = set()
    if place.exists():
        with Catalogue(place, folder) as catalogue:
            earlier, with_vectors = catalogue.files(), catalogue.digests(tagger.identity)
    new, failures = [], {_escaped(file.path): NO_UTF8 for file in named if not _is_text(file.path)}
    for file in found:
        before = earlier.get(file.path)
        if before is None or (before.size, before.changed_ns) != (file.size, file.changed_ns):
            new.append(file)
        elif before.reason is not None and not retry_failed:
            failures[file.path] = before.reason
        elif before.reason is not None or before.digest not in with_vectors:
            new.append(file)
    paths = {file.path for file in found}
    gone = [path for path in earlier if path not in paths and not os.path.lexists(folder / path)]
    return Plan(found, new, gone, failures)


def _is_text(name: str) -> bool:
    """Whether a file's name can be kept and printed; bytes that are no UTF-8 come as surrogates."""
    return name.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in name)


def _escaped(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def stamp_of(path: Path) -> tuple[int, int]:
    """Size and time of change; zeros for what is not there, such as a link that leads nowhere."""
    try:
        state = path.stat()
    except OSError:
        return 0, 0
    return state.st_size, state.st_mtime_ns


def _scan(folder: Path, include: Sequence[str], exclude: Sequence[str]) -> Iterator[File]:
    """Files that are named as pictures, sorted; hidden ones and linked folders are passed over."""
    if not folder.is_dir():
        raise ZerotagError(f"there is no folder {folder}")
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(place, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            relative = path.relative_to(folder).as_posix()
            if include and not _matches(relative, include):
                continue
            if not _matches(relative, exclude):
                yield File(relative, *stamp_of(path), None)


def _matches(path: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch(path, pattern) or fnmatch(path.rsplit("/", 1)[-1], pattern) for pattern in patterns)
