"""What is in a folder: its pictures, the files that are passed over, and the sub-folders that cannot be listed."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath, PurePosixPath

from pathspec import GitIgnoreSpec

from zerotag.errors import ZerotagError, shown
from zerotag.images import SUFFIXES
from zerotag.tagging.catalogue import File

# thumbnails, bins and spares of Synology, QNAP, Windows, macOS and ext4, in lower case; names with a dot in front, such
# as .Trashes, .thumbnails, .dtrash and ._a.jpg, are passed over as all hidden ones are
SYSTEM_FOLDERS = frozenset(
    {
        "@eadir",
        "@tmp",
        "#recycle",
        "#snapshot",
        "@recycle",
        "@recently-snapshot",
        "$recycle.bin",
        "recycler",
        "system volume information",
        "__macosx",
        "network trash folder",
        "temporary items",
        "lost+found",
    }
)
SYSTEM_FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"})
OWN_SUFFIXES = frozenset({".xmp", ".zerotag", ".zerotag-wal", ".zerotag-shm"})
KINDS_TOLD = 8
KIND = re.compile(r"\.\w{1,12}", re.ASCII)
LAST_NS = 2**63 - 1  # of the integers that SQLite keeps: a day in April 2262


@dataclass
class Scan:
    """A folder's content.

    Attributes:
        files: named as pictures, in order.
        passed_over: number of other files, by suffix in lower case; "" for those without one.
        unlisted: why sub-folders could not be listed.
        empty: sub-folders without any content.
    """

    files: list[File] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    unlisted: dict[str, str] = field(default_factory=dict)
    empty: set[str] = field(default_factory=set)


def scan(folder: Path, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Scan:
    """List a folder and its sub-folders; hidden ones, linked ones and those of the system are passed over.

    Args:
        folder: of pictures.
        include: patterns as in .gitignore, of which a path must match one, if there are any.
        exclude: patterns of what to leave out.

    Raises:
        ZerotagError: there is no such folder, it cannot be listed, or a pattern is wrong.
    """
    wanted, unwanted = _patterns("--include", include), _patterns("--exclude", exclude)
    if not folder.is_dir():
        raise ZerotagError(f"there is no folder {folder}")
    found = Scan()

    def cannot_list(error: OSError) -> None:
        place = Path(os.fsdecode(error.filename))
        reason = error.strerror or str(error)
        if place == folder:
            raise ZerotagError(f"the folder {folder} cannot be listed: {reason}; see that you may read it")
        found.unlisted[place.relative_to(folder).as_posix()] = reason

    for place, folders, names in os.walk(folder, onerror=cannot_list):
        below = Path(place).relative_to(folder)
        if not folders and not names and below.name:
            found.empty.add(below.as_posix())
        folders[:] = sorted(
            name
            for name in folders
            if not _is_hidden(name)
            and name.lower() not in SYSTEM_FOLDERS
            and not unwanted.match_file(f"{(below / name).as_posix()}/")
        )
        for name in sorted(names):
            if _is_hidden(name) or name.lower() in SYSTEM_FILES:
                continue
            path = (below / name).as_posix()
            if unwanted.match_file(path) or (include and not wanted.match_file(path)):
                continue
            suffix = suffix_of(name)
            if suffix in SUFFIXES:
                found.files.append(File(path, *stamp_of(Path(place, name)), None))
            elif suffix not in OWN_SUFFIXES:
                found.passed_over[suffix] += 1
    return found


def in_words(passed_over: Mapping[str, int]) -> str:
    """How many files were passed over, by kind, the most frequent kinds first."""
    kinds = sorted(passed_over.items(), key=lambda kind: (-kind[1], kind[0]))
    parts = [f"{number} {suffix or 'without suffix'}" for suffix, number in kinds[:KINDS_TOLD]]
    if rest := kinds[KINDS_TOLD:]:
        parts.append(f"{sum(number for _, number in rest)} of {len(rest)} other kinds")
    number = sum(passed_over.values())
    return f"{number} other file{'' if number == 1 else 's'} passed over: {', '.join(parts)}"


def in_system_folder(path: str) -> bool:
    """Whether a path leads through a folder of the system's own."""
    return not SYSTEM_FOLDERS.isdisjoint(part.lower() for part in PurePosixPath(path).parts[:-1])


def suffix_of(name: str) -> str:
    """A file's suffix in lower case, without blanks and dots behind it; "" where there is none."""
    suffix = PurePath(name.rstrip(" \t\r\n.")).suffix.lower()
    return suffix if KIND.fullmatch(suffix) or suffix in OWN_SUFFIXES else ""


def stamp_of(path: Path) -> tuple[int, int]:
    """Size and time of change, the latter at most what SQLite can keep; zeros for what is not there."""
    try:
        state = path.stat()
    except OSError:
        return 0, 0
    return state.st_size, max(-LAST_NS, min(state.st_mtime_ns, LAST_NS))


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _patterns(option: str, patterns: Sequence[str]) -> GitIgnoreSpec:
    # "#" begins a comment in a file, but the name of a folder here
    escaped = [f"\\{pattern}" if pattern.startswith("#") else pattern for pattern in patterns]
    compiled = []
    for pattern, one in zip(patterns, escaped, strict=True):
        try:
            spec = GitIgnoreSpec.from_lines([one])
        except (ValueError, re.error):
            spec = GitIgnoreSpec([])
        if all(part.include is None for part in spec.patterns):
            raise ZerotagError(
                f"{option} '{shown(pattern)}' is not a pattern; write one as in .gitignore, such as '*_thumb.jpg' or "
                "'@eaDir/'"
            )
        compiled += list(spec.patterns)
    return GitIgnoreSpec(compiled)
