"""Tags in XMP files beside the pictures, written and taken back; what others wrote there is kept.

The catalogue keeps each file as it was before zerotag first wrote it. As long as nobody else writes it, taking the tags
back restores it byte for byte; after that, only what zerotag put in is taken out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zerotag.errors import ZerotagError
from zerotag.storage import write_atomically
from zerotag.tagging import xmp
from zerotag.tagging.catalogue import Catalogue, Sidecar
from zerotag.tagging.tagger import Tag
from zerotag.tagging.words import WordList

SUFFIX = ".xmp"


@dataclass
class SidecarSummary:
    """What was done to XMP files.

    Attributes:
        num_written: files written or made.
        num_same: files that hold just what they should already.
        num_removed: files deleted, since zerotag had made them.
        failures: why files were left as they are, by path of the picture.
    """

    num_written: int = 0
    num_same: int = 0
    num_removed: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def write_sidecars(
    catalogue: Catalogue, tagged: Iterable[tuple[str, Sequence[Tag]]], words: WordList
) -> SidecarSummary:
    """Write the tags of each picture into ``<picture>.xmp``; a picture without tags gets no new file.

    Raises:
        MissingPackageError: lxml is not installed.
        ZerotagError: the disk is full.
    """
    summary, kept = SidecarSummary(), catalogue.sidecars()
    for path, tags in tagged:
        place = catalogue.folder / f"{path}{SUFFIX}"
        try:
            current, before = _read(place), kept.get(path)
            base = _without_ours(current, before)
            labels = [[*reversed(words.above(tag.label)), tag.label] for tag in tags]
            if not labels:
                _put_back(catalogue, path, place, current, base, before, summary)
                continue
            content, added = xmp.with_labels(base, labels)
            if content == current:
                summary.num_same += 1
                continue
            # noted before it is written: a process that dies in between leaves a note too many, never one too few
            catalogue.note_sidecar(Sidecar(path, base, _digest(content), added))
            write_atomically(place, content)
            summary.num_written += 1
        except (OSError, ValueError, ZerotagError) as error:  # lxml has no error of its own for what XML cannot hold
            summary.failures[path] = f"{place.name}: {getattr(error, 'strerror', None) or error}"
    return summary


def remove_sidecars(catalogue: Catalogue) -> SidecarSummary:
    """Take back all that zerotag wrote into XMP files.

    Raises:
        MissingPackageError: lxml is not installed.
        ZerotagError: the disk is full.
    """
    summary = SidecarSummary()
    for path, before in catalogue.sidecars().items():
        place = catalogue.folder / f"{path}{SUFFIX}"
        try:
            current = _read(place)
            _put_back(catalogue, path, place, current, _without_ours(current, before), before, summary)
        except (OSError, ZerotagError) as error:
            summary.failures[path] = f"{place.name}: {getattr(error, 'strerror', None) or error}"
    return summary


def _put_back(
    catalogue: Catalogue,
    path: str,
    place: Path,
    current: bytes | None,
    base: bytes | None,
    before: Sidecar | None,
    summary: SidecarSummary,
) -> None:
    if before is None:
        return
    if base is None:
        if current is not None:
            place.unlink()
            summary.num_removed += 1
    elif base != current:
        write_atomically(place, base)
        summary.num_written += 1
    catalogue.forget_sidecar(path)


def _without_ours(current: bytes | None, before: Sidecar | None) -> bytes | None:
    """The file as it would be had zerotag never written it."""
    if current is None or before is None:
        return current
    if _digest(current) == before.written:
        return before.original
    if current == before.original:
        return current
    return xmp.without_labels(current, before.added)


def _read(place: Path) -> bytes | None:
    if place.is_symlink():
        raise ZerotagError("it is a link; zerotag writes no file behind a link")
    return place.read_bytes() if place.exists() else None


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()
