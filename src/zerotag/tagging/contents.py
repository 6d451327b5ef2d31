"""Semantic vectors of contents in a catalogue: written with a checksum, and checked when they are read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float16

from zerotag.errors import ZerotagError, first_few
from zerotag.tagging.checksums import checked, checksum
from zerotag.tagging.database import PATH, Database

ROWS_AT_ONCE = 256
FLOAT16_BYTES = 2
SECONDS_TO_WAIT = 5.0
Row = tuple[str, bytes, int, int, Any, int | None]
KINDS = (PATH, bytes, int, int, object, int | None)  # vectors of another kind cost their own picture alone


@dataclass(frozen=True)
class Content:
    """A picture, whatever files hold it: its digest, its size as shown, and its semantic vectors [n, e]."""

    digest: bytes
    width: int
    height: int
    S: Float16[np.ndarray, "n e"]


class DamagedVectorsError(ZerotagError):
    """Vectors in a catalogue are not as they were written; where it may be written, they are taken out of it."""


class Contents(Database):
    """The part of a catalogue that holds vectors."""

    def model(self, identity: str, shape: tuple[int, int]) -> int:
        """The number of a model; ``identity`` tells what its vectors depend on, ``shape`` is theirs, n by e."""
        row = "SELECT id, vectors, dimension FROM model WHERE identity = ?"
        with self._explained():
            found = self._fetched(row, (identity,), (int, int, int))
            if found and found[0][1:] == shape:
                return int(found[0][0])
            with self._db:
                self._db.execute(
                    "INSERT INTO model (identity, vectors, dimension) VALUES (?, ?, ?) ON CONFLICT (identity) "
                    "DO UPDATE SET vectors = excluded.vectors, dimension = excluded.dimension",
                    (identity, *shape),
                )
            return int(self._fetched(row, (identity,), (int, int, int))[0][0])

    def digests(self, identity: str) -> set[bytes]:
        """Contents that the model has vectors of."""
        with self._explained():
            rows = self._fetched(
                "SELECT digest FROM content JOIN model ON model = id WHERE identity = ?", (identity,), (bytes,)
            )
            return {row[0] for row in rows}

    def models(self) -> list[tuple[int, str]]:
        """Number and identity of each model that it has vectors of."""
        with self._explained():
            return self._fetched("SELECT id, identity FROM model", (), (int, str))

    def damaged(self, model: int) -> dict[bytes, str]:
        """Why contents of a model are not as they were written, by digest; all vectors are read."""
        num_bytes, last = self._num_bytes(model), b""
        found: dict[bytes, str] = {}
        while True:
            with self._explained():
                rows = self._fetched(
                    f"SELECT '', digest, width, height, S, {self._checksum} FROM content "
                    "WHERE model = ? AND digest > ? ORDER BY digest LIMIT ?",
                    (model, last, ROWS_AT_ONCE),
                    (str, *KINDS[1:]),
                )
            if not rows:
                return found
            faults = zip(rows, _checked(rows, num_bytes)[1], strict=True)
            found |= {row[1]: fault for row, fault in faults if fault is not None}
            last = rows[-1][1]

    def check(self, model: int) -> None:
        """See that all vectors of a model are as they were written.

        Raises:
            DamagedVectorsError: Some are not.
        """
        for _ in self.pictures(model):
            pass

    def drop_damaged(self, model: int) -> int:
        """Take out vectors of a model that are not as they were written, and say how many contents had such."""
        found = self.damaged(model)
        with self._explained(), self._db:
            self._drop(self._db, model, found)
        return len(found)

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

        Raises:
            DamagedVectorsError: Vectors are not as they were written.
        """
        wanted = None if paths is None else sorted(set(paths))
        for rows in self._rows_of_all(model) if wanted is None else self._rows_of(model, wanted):
            yield [row[0] for row in rows], self._sound(model, rows)

    def vectors(self, model: int, paths: Sequence[str]) -> Float16[np.ndarray, "b n e"]:
        """Vectors of some pictures, in the order of ``paths``.

        Raises:
            DamagedVectorsError: Vectors are not as they were written.
        """
        rows = [row for some in self._rows_of(model, list(paths)) for row in some]
        place = {row[0]: index for index, row in enumerate(rows)}
        with self._explained():
            if lost := set(paths) - place.keys():
                raise sqlite3.DataError(f"it does not find {first_few(sorted(lost))} again")
        return self._sound(model, rows)[[place[path] for path in paths]]

    def _insert(self, contents: Iterable[Content], model: int | None) -> None:
        """Add contents within a transaction; those that are there stay as they are."""
        for content in contents:
            row = content.digest, content.width, content.height, content.S.astype("<f2").tobytes()
            self._db.execute(
                "INSERT OR IGNORE INTO content (model, digest, width, height, S, checksum) VALUES (?, ?, ?, ?, ?, ?)",
                (model, *row, checksum(row)),
            )

    def _num_bytes(self, model: int) -> int:
        n, e = self._shape(model)
        return FLOAT16_BYTES * n * e

    def _shape(self, model: int) -> tuple[int, int]:
        with self._explained():
            shapes = self._fetched("SELECT vectors, dimension FROM model WHERE id = ?", (model,), (int, int))
            if not shapes:
                raise sqlite3.DataError("it does not find its model again")
        return shapes[0]

    def _rows_of_all(self, model: int) -> Iterator[list[Row]]:
        last = ""
        while True:
            with self._explained():
                # the cross join keeps SQLite from sorting, and so from holding, all vectors
                rows = self._fetched(
                    f"SELECT path, digest, width, height, S, {self._checksum} FROM file "
                    "CROSS JOIN content USING (digest) WHERE model = ? AND reason IS NULL AND path > ? "
                    "ORDER BY path LIMIT ?",
                    (model, last, ROWS_AT_ONCE),
                    KINDS,
                )
            if not rows:
                return
            yield rows
            last = rows[-1][0]

    def _rows_of(self, model: int, paths: list[str]) -> Iterator[list[Row]]:
        for start in range(0, len(paths), ROWS_AT_ONCE):
            with self._explained():
                rows = self._fetched(
                    f"SELECT DISTINCT file.path, digest, width, height, S, {self._checksum} FROM json_each(?) "
                    "JOIN file ON file.path = value JOIN content USING (digest) "
                    "WHERE model = ? AND reason IS NULL ORDER BY file.path",
                    (json.dumps(paths[start : start + ROWS_AT_ONCE]), model),
                    KINDS,
                )
            if rows:
                yield rows

    def _sound(self, model: int, rows: list[Row]) -> Float16[np.ndarray, "b n e"]:
        """The vectors of rows; where some are damaged, all such are taken out, for ``zerotag tag`` to compute again."""
        n, e = self._shape(model)
        vectors, faults = _checked(rows, FLOAT16_BYTES * n * e)
        if damaged := {row[0]: fault for row, fault in zip(rows, faults, strict=True) if fault is not None}:
            reason = next(iter(damaged.values()))
            cure = "these are not used any more; compute them again, with: zerotag tag RUN"
            if not self._was_dropped(model):
                cure = "compute them again where it may be written, with: zerotag tag --reread RUN"
            raise DamagedVectorsError(
                f"{self.path}: the vectors of {first_few(list(damaged))} are damaged ({reason}); {cure} {self.folder}"
            ) from sqlite3.DataError(reason)
        return vectors.view("<f2").reshape(len(rows), n, e)

    def _was_dropped(self, model: int) -> bool:
        """Whether damaged vectors could be taken out, beside whatever this connection is at."""
        if self.is_reading:
            return False
        try:
            with closing(sqlite3.connect(self.path, timeout=SECONDS_TO_WAIT)) as database, database:
                self._drop(database, model, self.damaged(model))
        except sqlite3.Error:
            return False
        return True

    @staticmethod
    def _drop(database: sqlite3.Connection, model: int, digests: Iterable[bytes]) -> None:
        database.executemany(
            "DELETE FROM content WHERE digest = ? AND model = ?", [(digest, model) for digest in digests]
        )


def _checked(rows: Sequence[Row], num_bytes: int) -> tuple[np.ndarray, list[str | None]]:
    return checked([row[1:5] for row in rows], [row[5] for row in rows], num_bytes)
