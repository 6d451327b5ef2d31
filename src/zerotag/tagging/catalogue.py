"""What zerotag knows of a folder: a SQLite file beside it.

Pictures are known by their content, so one that was moved or copied is not computed again. Kept are semantic vectors,
not tags: any words, today's or tomorrow's, are scored from them without a look at the pictures.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float16

from zerotag.tagging.database import Database
from zerotag.tagging.sidecar_names import XMP

SUFFIX = ".zerotag"
ROWS_AT_ONCE = 256


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


@dataclass(frozen=True)
class Content:
    """A picture, whatever files hold it: its digest, its size as shown, and its semantic vectors [n, e]."""

    digest: bytes
    width: int
    height: int
    S: Float16[np.ndarray, "n e"]


@dataclass(frozen=True)
class Sidecar:
    """An XMP file that zerotag wrote.

    Attributes:
        path: relative to the folder, with / between its parts.
        original: the file as it was before; None where there was none.
        written: digest of what was written, and behind it that of what was written before, where both may be there.
        added: flat keywords that were not there before.
    """

    path: str
    original: bytes | None
    written: bytes
    added: list[str]


class Catalogue(Database):
    """What is in a catalogue: files, the vectors of their contents, what people said of labels, XMP files written."""

    def model(self, identity: str, shape: tuple[int, int]) -> int:
        """The number of a model; ``identity`` tells what its vectors depend on, ``shape`` is theirs, n by e."""
        number = "SELECT id FROM model WHERE identity = ?"
        with self._explained():
            if found := self._db.execute(number, (identity,)).fetchone():
                return int(found[0])
            with self._db:
                self._db.execute(
                    "INSERT OR IGNORE INTO model (identity, vectors, dimension) VALUES (?, ?, ?)", (identity, *shape)
                )
            return int(self._db.execute(number, (identity,)).fetchone()[0])

    def files(self) -> dict[str, File]:
        """All files, by path."""
        with self._explained():
            rows = self._db.execute("SELECT path, size, changed_ns, digest, reason FROM file ORDER BY path")
            return {row[0]: File(*row) for row in rows}

    def digests(self, identity: str) -> set[bytes]:
        """Contents that the model has vectors of."""
        with self._explained():
            rows = self._db.execute(
                "SELECT digest FROM content JOIN model ON model = id WHERE identity = ?", (identity,)
            )
            return {row[0] for row in rows}

    def save(self, files: Iterable[File], contents: Iterable[Content] = (), model: int | None = None) -> None:
        """Write files and the vectors of their contents, all or nothing; contents that are there stay as they are."""
        with self._explained(), self._db:
            self._db.executemany(
                "INSERT OR IGNORE INTO content VALUES (?, ?, ?, ?, ?)",
                [(c.digest, model, c.width, c.height, c.S.astype("<f2").tobytes()) for c in contents],
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?, ?)",
                [(f.path, f.size, f.changed_ns, f.digest, f.reason) for f in files],
            )

    def forget(self, paths: Iterable[str]) -> None:
        """Take files out that are there no more; what was computed of their content stays."""
        with self._explained(), self._db:
            self._db.executemany("DELETE FROM file WHERE path = ?", [(path,) for path in paths])

    def number_of_pictures(self, model: int) -> int:
        """How many files have vectors of the model."""
        with self._explained():
            found = self._db.execute(
                "SELECT count(*) FROM file JOIN content USING (digest) WHERE model = ? AND reason IS NULL", (model,)
            )
            return int(found.fetchone()[0])

    def pictures(
        self, model: int, paths: Sequence[str] | None = None
    ) -> Iterator[tuple[list[str], Float16[np.ndarray, "b n e"]]]:
        """Paths in order and their vectors, 256 at a time; of all pictures where ``paths`` is left out.

        No query is open between two blocks, so the catalogue may be written meanwhile.
        """
        wanted = None if paths is None else sorted(set(paths))
        with self._explained():
            n, e = self._db.execute("SELECT vectors, dimension FROM model WHERE id = ?", (model,)).fetchone()
        for rows in self._rows_of_all(model) if wanted is None else self._rows_of(model, wanted):
            S = np.frombuffer(b"".join(row[1] for row in rows), "<f2").reshape(len(rows), n, e)
            yield [row[0] for row in rows], S

    def _rows_of_all(self, model: int) -> Iterator[list[tuple[str, bytes]]]:
        last = ""
        while True:
            with self._explained():
                # the cross join keeps SQLite from sorting, and so from holding, all vectors
                rows = self._db.execute(
                    "SELECT path, S FROM file CROSS JOIN content USING (digest) WHERE model = ? AND reason IS NULL "
                    "AND path > ? ORDER BY path LIMIT ?",
                    (model, last, ROWS_AT_ONCE),
                ).fetchall()
            if not rows:
                return
            yield rows
            last = rows[-1][0]

    def _rows_of(self, model: int, paths: list[str]) -> Iterator[list[tuple[str, bytes]]]:
        for start in range(0, len(paths), ROWS_AT_ONCE):
            with self._explained():
                rows = self._db.execute(
                    "SELECT file.path, S FROM json_each(?) JOIN file ON file.path = value JOIN content USING (digest) "
                    "WHERE model = ? AND reason IS NULL ORDER BY file.path",
                    (json.dumps(paths[start : start + ROWS_AT_ONCE]), model),
                ).fetchall()
            if rows:
                yield rows

    def vectors(self, model: int, paths: Sequence[str]) -> Float16[np.ndarray, "b n e"]:
        """Vectors of some pictures, in the order of ``paths``."""
        with self._explained():
            n, e = self._db.execute("SELECT vectors, dimension FROM model WHERE id = ?", (model,)).fetchone()
            rows = self._db.execute(
                "SELECT file.path, S FROM json_each(?) JOIN file ON file.path = value "
                "JOIN content USING (digest) WHERE model = ?",
                (json.dumps(list(paths)), model),
            )
            found = {path: np.frombuffer(S, "<f2").reshape(n, e) for path, S in rows}
        return np.stack([found[path] for path in paths])

    def digests_of(self, paths: Sequence[str]) -> list[bytes]:
        """Digests of the contents of some files, in the order of ``paths``."""
        with self._explained():
            rows = self._db.execute(
                "SELECT file.path, digest FROM json_each(?) JOIN file ON file.path = value", (json.dumps(list(paths)),)
            )
            found = dict(rows)
        return [found[path] for path in paths]

    def path_of(self, digest: bytes) -> str | None:
        """A file with this content, if there is one."""
        with self._explained():
            found = self._db.execute("SELECT min(path) FROM file WHERE digest = ?", (digest,)).fetchone()
        return None if found is None else found[0]

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
            for digest, label, accepted in self._db.execute("SELECT digest, label, accepted FROM verdict"):
                found.setdefault(digest, {})[label] = bool(accepted)
        return found

    def sidecar(self, file: str) -> Sidecar | None:
        """What is known of an XMP file, if zerotag wrote it."""
        with self._explained():
            row = self._db.execute(
                "SELECT original, written, added FROM sidecar WHERE path = ?", (_without_suffix(file),)
            ).fetchone()
        return None if row is None else Sidecar(file, row[0], row[1], json.loads(row[2]))

    def sidecars(self) -> dict[str, bytes]:
        """XMP files that zerotag wrote, with the digests of what it wrote."""
        with self._explained():
            rows = self._db.execute("SELECT path, written FROM sidecar ORDER BY path").fetchall()
        return {name if name.lower().endswith(XMP) else f"{name}{XMP}": written for name, written in rows}

    def note_sidecar(self, sidecar: Sidecar) -> None:
        """Keep what is needed to remove an XMP file's tags."""
        row = (_without_suffix(sidecar.path), sidecar.original, sidecar.written, json.dumps(sidecar.added))
        with self._explained(), self._db:
            self._db.execute("INSERT OR REPLACE INTO sidecar VALUES (?, ?, ?, ?)", row)

    def forget_sidecar(self, file: str) -> None:
        """Drop the note of an XMP file that has nothing of zerotag in it any more."""
        with self._explained(), self._db:
            self._db.execute("DELETE FROM sidecar WHERE path = ?", (_without_suffix(file),))

    def sizes(self) -> dict[str, tuple[int, int]]:
        """Width and height of each picture as it is shown, by path."""
        with self._explained():
            rows = self._db.execute("SELECT DISTINCT path, width, height FROM file JOIN content USING (digest)")
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


def _without_suffix(file: str) -> str:
    """The name under which an XMP file is kept; one whose suffix is spelled otherwise keeps it."""
    name = file.removesuffix(XMP)
    return file if name.lower().endswith(XMP) else name


def catalogue_of(where: Path) -> Path:
    """The catalogue's file: ``where`` itself, or beside it where that is the folder."""
    place = where.resolve()
    return place.with_name(place.name + SUFFIX) if place.is_dir() else place
