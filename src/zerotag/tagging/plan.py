"""What of a folder is new to its catalogue, what is gone, and what could not be read before."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from zerotag.errors import ZerotagError, shown
from zerotag.images import SUFFIXES
from zerotag.tagging.catalogue import Catalogue, File
from zerotag.tagging.database import is_blank
from zerotag.tagging.scan import Scan, in_system_folder, in_words, scan
from zerotag.tagging.tagger import Tagger

NO_UTF8 = "its name is no UTF-8 text; rename it"
CHANGED = "it changed while it was read; run the command again"


@dataclass(frozen=True)
class Plan:
    """What of a folder is to be done.

    Attributes:
        found: every picture's path below the folder.
        new: those to be read.
        gone: paths that the catalogue has and the folder has not.
        failures: of earlier runs, which are not tried again.
        passed_over: number of other files, by suffix.
        unlisted: why sub-folders could not be listed; what the catalogue has of them stays.
        emptied: paths that the catalogue has of sub-folders which are empty now, as where a drive is not connected.
        reread: whether what the catalogue has is not relied on.
    """

    found: list[File]
    new: list[File]
    gone: list[str]
    failures: dict[str, str]
    passed_over: dict[str, int] = field(default_factory=dict)
    unlisted: dict[str, str] = field(default_factory=dict)
    emptied: dict[str, list[str]] = field(default_factory=dict)
    reread: bool = False


def plan(
    folder: Path,
    place: Path,
    tagger: Tagger,
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    retry_failed: bool = False,
    reread: bool = False,
) -> Plan:
    """Compare a folder with what its catalogue has of it; files of the same size and time of change are not read.

    Nothing is written, and no catalogue made.

    Args:
        folder: of pictures, with its sub-folders.
        place: of its catalogue, which need not be there.
        tagger: whose vectors are wanted.
        include: patterns as in .gitignore, such as "*.jpg" or "trips/", of which a path must match one, if there are
            any.
        exclude: patterns of what to leave out.
        retry_failed: read again what could not be read.
        reread: read every file, also those of the same size and time of change.

    Raises:
        ZerotagError: there is no such folder, no picture in it, or a pattern is wrong.
    """
    content = scan(folder, include, exclude)
    found = [file for file in content.files if _is_text(file.path)]
    if not content.files:
        raise ZerotagError(_no_pictures(folder, content, chosen=bool(include or exclude)))
    earlier: dict[str, File] = {}
    with_vectors: set[bytes] = set()
    if place.exists() and not is_blank(place):
        with Catalogue(place, folder, reading=True) as catalogue:
            earlier, with_vectors = catalogue.files(), catalogue.digests(tagger.identity)
    new, failures = [], {shown(file.path): NO_UTF8 for file in content.files if not _is_text(file.path)}
    for file in found:
        before = earlier.get(file.path)
        if reread or before is None or (before.size, before.changed_ns) != (file.size, file.changed_ns):
            new.append(file)
        elif before.reason is not None:
            if retry_failed or before.digest is None or before.reason == CHANGED:
                new.append(file)
            else:
                failures[file.path] = before.reason
        elif before.digest not in with_vectors:
            new.append(file)
    known = earlier.keys() - {file.path for file in found}
    return _with_absent(
        Plan(found, new, [], failures, dict(content.passed_over), reread=reread), folder, content, sorted(known)
    )


def _with_absent(planned: Plan, folder: Path, content: Scan, absent: list[str]) -> Plan:
    """The plan with what was not found sorted into what is gone and what is out of reach."""
    out_of_reach = dict.fromkeys(content.unlisted, 0)
    for path in absent:
        above = [str(parent) for parent in PurePosixPath(path).parents]
        if unlisted := content.unlisted.keys() & above:
            out_of_reach[unlisted.pop()] += 1
        elif in_system_folder(path):
            planned.gone.append(path)
        elif _is_missing(folder / path):
            if empty := content.empty.intersection(above):
                planned.emptied.setdefault(empty.pop(), []).append(path)
            else:
                planned.gone.append(path)
    for place, reason in content.unlisted.items():
        number = out_of_reach[place]
        planned.unlisted[shown(place)] = f"{reason}; its {number} pictures stay in the catalogue" if number else reason
    return planned


def _is_missing(path: Path) -> bool:
    """Whether there is surely no such file; a folder that may not be entered, or a share that hangs, proves nothing."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _is_text(name: str) -> bool:
    """Whether a file's name can be kept and printed; bytes that are no UTF-8 come as surrogates."""
    return name.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in name)


def _no_pictures(folder: Path, content: Scan, *, chosen: bool) -> str:
    kinds = f"{', '.join(sorted(SUFFIXES))}{' that match' if chosen else ''}"
    found = [in_words(content.passed_over)] if content.passed_over else []
    found += [f"{place} cannot be listed: {reason}" for place, reason in content.unlisted.items()]
    return f"{folder} holds no pictures (files ending in {kinds})" + "".join(f"; {one}" for one in found)
