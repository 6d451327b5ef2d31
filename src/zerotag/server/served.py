"""A tagged folder that is served while others tag it, move it, replace it or take it away."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from zerotag.errors import ZerotagError
from zerotag.tagging.catalogue import Catalogue
from zerotag.tagging.export import export
from zerotag.tagging.folder import FolderTags
from zerotag.tagging.search import Index, Query
from zerotag.tagging.tagged import TaggedFolder
from zerotag.tagging.tagger import Tag
from zerotag.tagging.words import Vocabulary


class GoneError(ZerotagError):
    """The library has no such picture, or has it no more."""


class UnusableError(ZerotagError):
    """The library cannot be used at the moment: its catalogue is gone, locked, damaged or may not be written."""


@dataclass(frozen=True)
class Shown:
    """A picture of the library with its tags, and what people said of these."""

    path: str
    digest: bytes
    tags: list[Tag]
    verdicts: dict[str, bool]


class ServedFolder:
    """A tagged folder as its catalogue says now.

    Tags and the index of the search are made once for each state of the catalogue. What asks for them shares one
    connection, and is for one caller at a time; :meth:`number`, :meth:`place`, :meth:`judge` and :meth:`keep_words`
    open one of their own, so that neither a long search nor a locked catalogue makes the others wait.

    Args:
        folder: Tagged folder, opened.
    """

    def __init__(self, folder: TaggedFolder) -> None:
        self.folder = folder
        self.path = folder.catalogue.path
        self._opened = ExitStack()
        self._opened.push(folder.catalogue)
        self._file = _identity(self.path)
        self._index: Index | None = None
        self._tags: tuple[FolderTags, tuple[int, int]] | None = None

    def close(self) -> None:
        """Close the catalogue; it is opened again where the server is started again."""
        self._opened.close()
        self._file = None

    def number(self) -> tuple[int, Path]:
        """Number of contents with tags, and the folder."""
        with self._connected(reading=True) as catalogue:
            return len(catalogue.digests(self.folder.tagger.identity)), catalogue.folder

    def place(self, digest: bytes) -> Path:
        """Path of a picture with this content.

        Raises:
            GoneError: The library has no such picture.
        """
        with self._connected(reading=True) as catalogue:
            path = catalogue.path_of(digest)
            if path is None:
                raise GoneError("the library has no picture of this name")
            return catalogue.folder / path

    def judge(self, digest: bytes, label: str, accepted: bool | None) -> None:
        """Keep that a label is right or wrong for a picture; None takes that back."""
        self.place(digest)
        with self._connected() as catalogue:
            catalogue.judge(digest, label, accepted)

    def keep_words(self, vocabulary: Vocabulary) -> None:
        """Keep in the catalogue which words pictures are tagged with."""
        with self._connected() as catalogue:
            replace(self.folder, catalogue=catalogue, vocabulary=vocabulary).remember()

    def use_words(self, vocabulary: Vocabulary) -> None:
        """Tag with other words from now on."""
        self.folder, self._tags = replace(self.folder, vocabulary=vocabulary), None

    def search(self, query: Query, top: int) -> list[tuple[str, bytes, float]]:
        """Path, digest and match of the pictures that match best, best first."""
        with self._current() as catalogue:
            index = self._index = self._index or Index(catalogue, self.folder.tagger)
            with catalogue.snapshot():
                found = index.search(query, top=top)
                digests = catalogue.digests_of([match.path for match in found])
        return [(match.path, digest, match.match) for match, digest in zip(found, digests, strict=True)]

    def shown(self, start: int, number: int) -> tuple[int, list[Shown]]:
        """Number of pictures, and some of them, in the order of their paths."""
        with self._current() as catalogue:
            tags = self._fresh_tags(catalogue)
            with catalogue.snapshot():
                paths = [path for path, file in catalogue.files().items() if file.reason is None]
                return len(paths), _shown(catalogue, tags, paths[start : start + number])

    def shown_one(self, digest: bytes) -> Shown:
        """The picture with this content.

        Raises:
            GoneError: The library has no such picture.
        """
        with self._current() as catalogue:
            tags = self._fresh_tags(catalogue)
            with catalogue.snapshot():
                path = catalogue.path_of(digest)
                found = [] if path is None else _shown(catalogue, tags, [path])
        if not found:
            raise GoneError("the library has no tags of a picture of this name")
        return found[0]

    def exported(self, form: str) -> bytes:
        """The tags as a file for another program.

        Raises:
            UnknownNameError: There is no such format.
        """
        with self._current() as catalogue, TemporaryDirectory() as folder, catalogue.snapshot():
            export(self.folder.tagging(), Path(folder) / "tags", form)
            return (Path(folder) / "tags").read_bytes()

    def _fresh_tags(self, catalogue: Catalogue) -> FolderTags:
        with catalogue.snapshot() as version:
            kept = self._tags
        if kept is None or kept[1] != version:
            kept = self._tags = self.folder.tags(), version
        return kept[0]

    @contextmanager
    def _current(self) -> Iterator[Catalogue]:
        """The shared connection, another one where the catalogue was replaced or could not be read before."""
        if (file := _identity(self.path)) is None or file != self._file:
            self._file = self._index = self._tags = None
            self._opened.close()
            catalogue = self._opened.enter_context(_opened(self.path))
            self.folder, self._file = replace(self.folder, catalogue=catalogue), file
        try:
            with _explained():
                yield self.folder.catalogue
        except UnusableError:
            self._file = None
            raise

    @contextmanager
    def _connected(self, *, reading: bool = False) -> Iterator[Catalogue]:
        """A connection of the caller's own."""
        with _opened(self.path, reading=reading) as catalogue, _explained():
            yield catalogue


def _shown(catalogue: Catalogue, tags: FolderTags, paths: Sequence[str]) -> list[Shown]:
    tagged, verdicts = dict(tags.of(paths)), catalogue.verdicts()
    paths = [path for path in paths if path in tagged]
    digests = catalogue.digests_of(paths)
    return [Shown(path, d, tagged[path], verdicts.get(d, {})) for path, d in zip(paths, digests, strict=True)]


def _opened(path: Path, *, reading: bool = False) -> Catalogue:
    try:
        return Catalogue(path, reading=reading)
    except ZerotagError as error:
        raise UnusableError(str(error)) from error


@contextmanager
def _explained() -> Iterator[None]:
    """Tell what SQLite complains of from what was asked wrongly."""
    try:
        yield
    except ZerotagError as error:
        if isinstance(error.__cause__, sqlite3.Error):
            raise UnusableError(str(error)) from error
        raise


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another one in its place; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
