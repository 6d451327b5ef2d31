"""Tags in XMP files beside the pictures, written and removed again; what others wrote there is kept.

The catalogue keeps each file as it was before zerotag first wrote it. As long as nobody else writes it, removing the
tags restores it byte for byte, wherever it was moved. Else, and without a catalogue, the file itself shows what zerotag
put in (:mod:`zerotag.tagging.xmp`), and that alone is taken out.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from zerotag.errors import MissingPackageError, ZerotagError
from zerotag.storage import full_disk_explained, whole_or_not_at_all
from zerotag.tagging import xmp
from zerotag.tagging.catalogue import Catalogue, Sidecar
from zerotag.tagging.sidecar_names import XMP, Names, SidecarNames
from zerotag.tagging.tagger import Tag
from zerotag.tagging.words import WordList

DIGEST_BYTES = 16
MOVED = ".moved/"  # before the digest under which the note of a file is kept that was moved away


@dataclass
class SidecarSummary:
    """What was done to XMP files.

    Attributes:
        num_written: Number of files written or made.
        num_same: Number of files that had just what they should already.
        num_removed: Number of files deleted, since nothing but zerotag's tags was in them.
        failures: Reasons why files were left alone, by path of the picture, or of the file where tags are removed.
        beside: Files by another name that other programs keep for the same picture, by path of the picture.
    """

    num_written: int = 0
    num_same: int = 0
    num_removed: int = 0
    failures: dict[str, str] = field(default_factory=dict)
    beside: dict[str, str] = field(default_factory=dict)


def write_sidecars(
    catalogue: Catalogue,
    tagged: Iterable[tuple[str, Sequence[Tag]]],
    words: WordList,
    names: SidecarNames = SidecarNames.FULL,
) -> SidecarSummary:
    """Write the tags of each picture into its XMP file; a picture without tags gets no new file.

    Args:
        catalogue: Catalogue of the pictures.
        tagged: Paths of pictures, and their tags.
        words: Labels with their parents.
        names: Names of the files. What an earlier run wrote under the other name is removed there.

    Raises:
        MissingPackageError: lxml is not installed.
    """
    files, places = _Files(catalogue.folder, catalogue), Names(catalogue.folder, names)
    for path, tags in tagged:
        with files.failing_as(path):
            file, other = places.of(path), places.other(path)
            kind = Path(path).suffix[1:] if names is SidecarNames.STEM else None
            files.put(file, [[*reversed(words.above(tag.label)), tag.label] for tag in tags], kind=kind)
            if other is not None and files.remove(other) and tags and not places.is_shared(path):
                files.summary.beside[path] = other
    return files.summary


def remove_sidecars(folder: Path, catalogue: Catalogue | None = None) -> SidecarSummary:
    """Remove all that zerotag wrote into XMP files of a folder and its sub-folders.

    Args:
        folder: Folder of pictures.
        catalogue: Its catalogue. Without one, files that zerotag did not make are not restored byte for byte.

    Raises:
        MissingPackageError: lxml is not installed.
    """
    files = _Files(folder, catalogue)
    names = set() if catalogue is None else set(catalogue.sidecars())

    def unlisted(error: OSError) -> None:
        place = Path(error.filename).relative_to(folder).as_posix()
        files.summary.failures[place] = f"the folder cannot be listed ({error.strerror})"

    for place, _, found in os.walk(folder, onerror=unlisted):
        names |= {Path(place, name).relative_to(folder).as_posix() for name in found if name.lower().endswith(XMP)}
    for name in sorted(names):
        with files.failing_as(name):
            files.remove(name)
    if catalogue is not None and not files.summary.failures:
        for name in names:
            if name.startswith(MOVED):  # others that are there now were noted meanwhile
                catalogue.forget_sidecar(name)
    return files.summary


class _Files:
    """XMP files of a folder, each changed while no other process changes one of the same catalogue."""

    def __init__(self, folder: Path, catalogue: Catalogue | None) -> None:
        self.folder, self.catalogue, self.summary = folder, catalogue, SidecarSummary()
        noted = {} if catalogue is None else catalogue.sidecars()
        self._files_of: dict[bytes, list[str]] = {}
        for file, written in noted.items():
            self._remember(file, written)

    @contextmanager
    def failing_as(self, name: str) -> Iterator[None]:
        """Keep the reason why a file was left alone."""
        try:
            yield
        except MissingPackageError:
            raise
        except (OSError, ValueError, ZerotagError) as error:  # lxml has no error of its own for what XML cannot hold
            self.summary.failures[name] = getattr(error, "strerror", None) or str(error)

    def put(self, file: str, labels: Sequence[Sequence[str]], *, kind: str | None) -> None:
        """Make a file have these labels of zerotag, and no others; ``kind`` is the extension it must be of."""
        with self._alone():
            current = self._read(file)
            note = self._note(file, current)
            base = _without_ours(current, note)
            if not labels:
                self._restore(file, current, base, note)
                return
            owner = None if base is None or kind is None else xmp.extension_of(base)
            if owner is not None and kind is not None and owner.casefold() != kind.casefold():
                raise ZerotagError(f"it says that it belongs to a .{owner} file")
            content, added = xmp.with_labels(base, labels)
            self._check_writable(file)
            self._note_before(Sidecar(file, base, _digest(content), added), current, note)
            if content == current:
                self.summary.num_same += 1
            else:
                self._write(file, content, current)

    def remove(self, file: str) -> bool:
        """Take what zerotag wrote out of a file, and say whether the file is still there."""
        with self._alone():
            current = self._read(file)
            note = self._note(file, current)
            if note is None and (current is None or not xmp.is_marked(current)):
                return current is not None
            base = _without_ours(current, note)
            self._restore(file, current, base, note)
            return base is not None and current is not None

    def _restore(self, file: str, current: bytes | None, base: bytes | None, note: Sidecar | None) -> None:
        if current is not None and base is None:
            self._check_same(file, current)
            self._place(file).unlink()
            self.summary.num_removed += 1
        elif current is not None and base is not None and base != current:
            self._write(file, base, current)
        # the note of a file that is not there stays: it may have been moved, or be on a disk that is not connected
        if note is not None and current is not None:
            self._forget(note, file)

    def _note(self, file: str, current: bytes | None) -> Sidecar | None:
        """What the catalogue knows of a file: by its content, wherever it was written, or else by its path."""
        if self.catalogue is None or not _is_text(file):
            return None
        note = self.catalogue.sidecar(file)
        if current is None or (note is not None and _is_as_written(current, note)):
            return note
        others = map(self.catalogue.sidecar, self._files_of.get(_digest(current), ()))
        return next((moved for moved in others if moved is not None and _is_as_written(current, moved)), note)

    def _note_before(self, new: Sidecar, current: bytes | None, note: Sidecar | None) -> None:
        """Note what will be written; a process that dies before it is written leaves a note too many, never too few.

        The digest of what is still there is noted too. A note of what was moved away is kept by its digest.
        """
        if self.catalogue is None:
            return
        if current is not None and note is not None and _is_as_written(current, note):
            new = replace(new, written=b"".join(dict.fromkeys([new.written, _digest(current)])))
        there = self.catalogue.sidecar(new.path)
        if there is not None and there.original is not None and not _is_as_written(current, there):
            kept = replace(there, path=f"{MOVED}{there.written.hex()}")
            self.catalogue.note_sidecar(kept)
            self._remember(kept.path, kept.written)
        if new != note:
            self.catalogue.note_sidecar(new)
        if note is not None and note.path != new.path:
            self._forget(note, new.path)

    def _remember(self, file: str, written: bytes) -> None:
        for digest in _digests(written):
            self._files_of.setdefault(digest, []).append(file)

    def _forget(self, note: Sidecar, file: str) -> None:
        """Drop the note by which a file was found, unless that file was copied and the other one is still there."""
        assert self.catalogue is not None
        if note.path == file or not _is_as_written(self._read(note.path), note):
            self.catalogue.forget_sidecar(note.path)

    def _alone(self) -> AbstractContextManager[None]:
        return nullcontext() if self.catalogue is None else self.catalogue.alone()

    def _write(self, file: str, content: bytes, current: bytes | None) -> None:
        place = self._place(file)
        self._check_writable(file)
        with full_disk_explained(place), whole_or_not_at_all(place) as partial:
            with partial.open("wb") as written:
                written.write(content)
                written.flush()
                os.fsync(written.fileno())
            self._check_same(file, current)
        self.summary.num_written += 1

    def _place(self, file: str) -> Path:
        """Where a file is, which must not lead out of the folder, not by a linked sub-folder either."""
        place = self.folder / file
        if not Path(os.path.realpath(place.parent)).is_relative_to(os.path.realpath(self.folder)):
            raise ZerotagError("a link leads to it, out of the folder of pictures; it is left alone")
        return place

    def _check_writable(self, file: str) -> None:
        place = self._place(file)
        if os.path.lexists(place) and not os.access(place, os.W_OK):
            raise ZerotagError("it is write-protected")
        if not os.access(place.parent, os.W_OK):
            raise ZerotagError("its folder is write-protected")

    def _check_same(self, file: str, current: bytes | None) -> None:
        if self._read(file) != current:
            raise ZerotagError("another program wrote it at the same time; run the command again")

    def _read(self, file: str) -> bytes | None:
        place = self._place(file)
        try:
            mode = place.lstat().st_mode
        except (FileNotFoundError, NotADirectoryError):
            return None
        if stat.S_ISLNK(mode):
            raise ZerotagError("it is a link; zerotag writes no file behind a link")
        if not stat.S_ISREG(mode):
            raise ZerotagError("it is not a regular file")
        return place.read_bytes()


def _without_ours(current: bytes | None, note: Sidecar | None) -> bytes | None:
    """The file as it would be had zerotag never written it; None where it would not be there."""
    if current is None:
        return None
    if note is not None and _is_as_written(current, note):
        return note.original
    if not xmp.is_marked(current):
        return current
    return xmp.without_labels(current, [] if note is None else note.added)


def _is_as_written(current: bytes | None, note: Sidecar) -> bool:
    return current is not None and _digest(current) in _digests(note.written)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=DIGEST_BYTES).digest()


def _digests(written: bytes) -> list[bytes]:
    return [written[start : start + DIGEST_BYTES] for start in range(0, len(written), DIGEST_BYTES)]


def _is_text(name: str) -> bool:
    return not any("\ud800" <= sign <= "\udfff" for sign in name)
