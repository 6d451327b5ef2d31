"""What zerotag knows of a folder: a SQLite file beside it.

Pictures are known by their content, so one that was moved or copied is not computed again. Kept are semantic vectors,
not tags: any words, today's or tomorrow's, are scored from them without a look at the pictures.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zerotag.errors import first_few
from zerotag.tagging.contents import Content, Contents
from zerotag.tagging.database import PATH
from zerotag.tagging.sidecar_notes import Sidecar, SidecarNotes

SUFFIX = ".zerotag"
__all__ = ["SUFFIX", "Catalogue", "Content", "File", "Sidecar", "catalogue_of"]


@dataclass(frozen=True)
class File:
    """A file of the folder.

    Attributes:
        path: relative to the folder, with / between its parts.
        size: in bytes.
        changed_ns: when it was last changed.
        digest: of its content; None where it could not be read.
        reason: why it has no vectors, if it has none.
    """

    path: str
    size: int
    changed_ns: int
    digest: bytes | None
    reason: str | None = None


class Catalogue(Contents, SidecarNotes):
    """What is in a catalogue: files, the vectors of their contents, what people said of labels, XMP files written."""

    def files(self) -> dict[str, File]:
        """All files, by path."""
        with self._explained():
            rows = self._fetched(
                "SELECT path, size, changed_ns, digest, reason FROM file ORDER BY path",
                (),
                (PATH, int, int, bytes | None, str | None),
            )
            return {row[0]: File(*row) for row in rows}

    def save(self, files: Iterable[File], contents: Iterable[Content] = (), model: int | None = None) -> None:
        """Write files and the vectors of their contents, all or nothing; contents that are there stay as they are."""
        with self._explained(), self._db:
            self._insert(contents, model)
            self._db.executemany(
                "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?)",
                [(f.path, f.size, f.changed_ns, f.digest, f.reason) for f in files],
            )

    def forget(self, paths: Iterable[str]) -> None:
        """Take files out that are there no more; what was computed of their content stays."""
        with self._explained(), self._db:
            self._db.executemany("DELETE FROM file WHERE path = ?", [(path,) for path in paths])

    def digests_of(self, paths: Sequence[str]) -> list[bytes]:
        """Digests of the contents of some files, in the order of ``paths``."""
        with self._explained():
            rows = self._fetched(
                "SELECT file.path, digest FROM json_each(?) JOIN file ON file.path = value",
                (json.dumps(list(paths)),),
                (PATH, bytes),
            )
            found = dict(rows)
            if lost := set(paths) - found.keys():
                raise sqlite3.DataError(f"it does not find {first_few(sorted(lost))} again")
        return [found[path] for path in paths]

    def path_of(self, digest: bytes) -> str | None:
        """A file with this content, if there is one."""
        with self._explained():
            found = self._fetched("SELECT path FROM file WHERE digest = ? ORDER BY path LIMIT 1", (digest,), (PATH,))
        return found[0][0] if found else None

    def judge(self, digest: bytes, label: str, accepted: bool | None) -> None:
        """Keep that a label is right or wrong for a content; None takes that back."""
        with self._explained(), self._db:
            if accepted is None:
                self._db.execute("DELETE FROM verdict WHERE digest = ? AND label = ?", (digest, label))
            else:
                self._db.execute("INSERT OR REPLACE INTO verdict VALUES (?, ?, ?)", (digest, label, accepted))

    def verdicts(self) -> dict[bytes, dict[str, bool]]:
        """What people said of labels, by content and label."""
        found: dict[bytes, dict[str, bool]] = {}
        with self._explained():
            rows = self._fetched("SELECT digest, label, accepted FROM verdict", (), (bytes, str, int))
            for digest, label, accepted in rows:
                found.setdefault(digest, {})[label] = bool(accepted)
        return found

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Width and height of each picture as it is shown, by path."""
        with self._explained():
            rows = self._fetched(
                "SELECT DISTINCT path, width, height FROM file JOIN content USING (digest)", (), (PATH, int, int)
            )
            return {path: (width, height) for path, width, height in rows}

    @contextmanager
    def snapshot(self) -> Iterator[tuple[int, int]]:
        """One state of the catalogue for all that is read within; its version, which each change makes another."""
        with self._explained():
            is_outermost = not self._db.in_transaction
            if is_outermost:
                self._db.execute("BEGIN")
            try:
                yield int(self._db.execute("PRAGMA data_version").fetchone()[0]), self._db.total_changes
            finally:
                if is_outermost:
                    self._db.rollback()


def catalogue_of(where: Path) -> Path:
    """The catalogue's file: ``where`` itself, or beside it where that is the folder."""
    place = where.resolve()
    return place.with_name(place.name + SUFFIX) if place.is_dir() else place
