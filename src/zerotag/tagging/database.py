"""The SQLite file behind a catalogue: its tables, whose folder it is of, and its errors as sentences."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from zerotag.errors import ZerotagError

FORMAT = "1"
SECONDS_TO_WAIT = 60.0
SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE model (
    id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE, vectors INTEGER NOT NULL, dimension INTEGER NOT NULL
);
CREATE TABLE file (
    path TEXT PRIMARY KEY, size INTEGER NOT NULL, changed_ns INTEGER NOT NULL, digest BLOB, reason TEXT
) WITHOUT ROWID;
CREATE INDEX file_by_digest ON file (digest);
CREATE TABLE content (
    digest BLOB, model INTEGER REFERENCES model, width INTEGER NOT NULL, height INTEGER NOT NULL, S BLOB NOT NULL,
    PRIMARY KEY (digest, model)
);
CREATE TABLE verdict (digest BLOB, label TEXT, accepted INTEGER NOT NULL, PRIMARY KEY (digest, label)) WITHOUT ROWID;
CREATE TABLE sidecar (path TEXT PRIMARY KEY, original BLOB, written BLOB NOT NULL, added TEXT NOT NULL) WITHOUT ROWID;
"""

Own = TypeVar("Own", bound="Database")


class Database:
    """A catalogue's file, opened; use as a context manager.

    Writers of several processes take turns; each write is there whole or not at all, whenever the process dies.

    Args:
        path: of the SQLite file.
        folder: that it is for, where it is made if it is not there; None to open what is there.

    Raises:
        ZerotagError: there is no such file, it is no catalogue, of another version or of another folder, or it cannot
            be written there.
    """

    def __init__(self, path: Path, folder: Path | None = None) -> None:
        if folder is None and not path.is_file():
            raise ZerotagError(f"there is no catalogue {path}; make one with: zerotag tag RUN FOLDER")
        self.path = path
        with self._explained():
            self._db = sqlite3.connect(path, timeout=SECONDS_TO_WAIT, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = NORMAL")
            if folder is not None:
                self._begin(folder.resolve())
            about = dict(self._db.execute("SELECT key, value FROM about"))
        if about.get("format") != FORMAT:
            raise ZerotagError(f"{path} is of format {about.get('format')}, and this zerotag reads format {FORMAT}")
        self.folder = Path(about["folder"])
        if folder is not None and folder.resolve() != self.folder:
            if self.folder.is_dir():
                raise ZerotagError(f"{path} is the catalogue of {self.folder}; choose another file with --catalogue")
            self.folder = folder.resolve()  # it was moved, and its catalogue with it

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._db.close()

    def settle_in_folder(self) -> None:
        """Keep where the folder is, in case it was moved."""
        with self._explained(), self._db:
            self._db.execute("UPDATE about SET value = ? WHERE key = 'folder'", (str(self.folder),))

    def remember(self, key: str, value: Any) -> None:
        """Keep plain data under a name."""
        with self._explained(), self._db:
            self._db.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (key, json.dumps(value)))

    def remembered(self, key: str) -> Any:
        """What was kept under a name; None where nothing was."""
        with self._explained():
            found = self._db.execute("SELECT value FROM about WHERE key = ?", (key,)).fetchone()
        return None if found is None else json.loads(found[0])

    def _begin(self, folder: Path) -> None:
        with self._db:
            self._db.execute("BEGIN IMMEDIATE")
            if not self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone():
                for statement in SCHEMA.split(";"):
                    self._db.execute(statement)
                self._db.executemany("INSERT INTO about VALUES (?, ?)", [("format", FORMAT), ("folder", str(folder))])

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite complains of into a sentence that names the file."""
        try:
            yield
        except sqlite3.OperationalError as error:
            raise ZerotagError(
                f"the catalogue {self.path} cannot be used ({error}); name a place where you may write, with "
                "--catalogue, and see that the disk is not full"
            ) from error
        except sqlite3.DatabaseError as error:
            raise ZerotagError(f"{self.path} is no catalogue of zerotag, or it is damaged ({error})") from error
