"""The SQLite file behind a catalogue: its tables, whose folder it is of, and its errors as sentences."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, TypeVar

from filelock import FileLock

from zerotag.errors import ZerotagError, shown
from zerotag.opening import regular
from zerotag.tagging import schema
from zerotag.tagging.schema import FIRST_FORMAT, FORMAT, TABLES

SECONDS_TO_WAIT = 60.0
LONGEST_PATH = 4095  # bytes, as in Linux
UNWRITABLE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)
PLACE = "place"
PATH = object()  # a kind of value: a path that stays in the folder
LEADS_OUT = re.compile("[\ud800-\udfff]" r"|^$|^/|\0|(^|/)\.\.(/|$)" + (r"|\\|^\w:" if os.name == "nt" else ""))
Own = TypeVar("Own", bound="Database")


class Database:
    """A catalogue's file, opened; use as a context manager.

    Writers of several processes take turns; each write is there whole or not at all, whenever the process dies. A file
    that cannot be written, such as one on a medium mounted read-only, is opened for reading.

    Args:
        path: Path of the SQLite file.
        folder: Folder that it is for, where the file is made if it is not there; None to open what is there.
        reading: Whether it will only be read: then nothing is made or written.

    Raises:
        ZerotagError: there is no such file, it is not a catalogue, is of another version or of another folder, or
            ``folder`` is given and the file cannot be written there.
    """

    def __init__(self, path: Path, folder: Path | None = None, *, reading: bool = False) -> None:
        if path.is_dir():
            raise ZerotagError(f"{path} is a folder, not a catalogue's file; name a file with --catalogue")
        if (folder is None or reading) and not regular(path).exists():
            raise ZerotagError(f"there is no catalogue {path}; make one with: zerotag tag RUN FOLDER")
        self.path = regular(path)
        self._closing, self.is_reading = ExitStack(), reading
        try:
            self._open(folder, reading)
        except BaseException:
            self._closing.close()
            raise

    def _open(self, folder: Path | None, reading: bool) -> None:
        path = self.path
        with self._explained():
            self._db = self._connected(None if reading else folder, reading)
            about = dict(self._fetched("SELECT key, value FROM about", (), (str, str)))
            self.format, named = about.get("format"), about.get("folder")
            if self.format is None or not named or len(named) > LONGEST_PATH or "\0" in named:
                raise sqlite3.DataError("it does not say what folder it is of")
        if self.format not in (FORMAT, FIRST_FORMAT):
            raise ZerotagError(f"{path} is of format {shown(self.format)}, and this zerotag reads format {FORMAT}")
        self._checksum, self.folder = "checksum" if self.format == FORMAT else "NULL", Path(named)
        beside = self._beside
        was_moved = beside.is_dir() and (not is_folder(self.folder) or self._is_a_copy())
        if folder is not None and folder.resolve() != self.folder:
            if is_folder(self.folder) and not (was_moved and folder.resolve() == beside):
                raise ZerotagError(f"{path} is the catalogue of {self.folder}; choose another file with --catalogue")
            self.folder = folder.resolve()
        elif folder is None and was_moved:
            self.folder = beside

    def __enter__(self: Own) -> Own:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Be the only one that changes XMP files of this catalogue; other processes wait."""
        with FileLock(self.path.with_name(f".{self.path.name}.lock")):
            yield

    def settle_in_folder(self) -> None:
        """Keep where the folder and this file are, in case they were moved."""
        with self._explained(), self._db:
            self._db.execute("UPDATE about SET value = ? WHERE key = 'folder'", (str(self.folder),))
        self.remember(PLACE, self._place())

    def check_is_ours(self) -> None:
        """See that files in the folder may be changed as the catalogue says: a stranger's may name any folder.

        Raises:
            ZerotagError: It neither lies beside its folder nor was used here to tag it.
        """
        if self.folder.resolve() != self._beside and self.remembered(PLACE) != self._place():
            raise ZerotagError(
                f"{self.path} says that it is of the folder {self.folder}, which it was not used to tag from where it "
                f"is; if it is yours, run zerotag tag with --catalogue {self.path} first"
            )

    @property
    def _beside(self) -> Path:
        """The folder that a catalogue lies beside."""
        return self.path.resolve().with_suffix("")

    def _place(self) -> list[Any]:
        return [str(self.path.resolve()), self.path.stat().st_ino]

    def remember(self, key: str, value: Any) -> None:
        """Keep plain data under a name."""
        with self._explained(), self._db:
            self._db.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (key, json.dumps(value)))

    def remembered(self, key: str) -> Any:
        """What was kept under a name; None where nothing was."""
        with self._explained():
            found = self._fetched("SELECT value FROM about WHERE key = ?", (key,), (str,))
            try:
                return json.loads(found[0][0]) if found else None
            except ValueError as error:
                raise sqlite3.DataError(f"what it keeps as '{key}' is no JSON") from error

    def _fetched(self, query: str, values: tuple[Any, ...], kinds: tuple[Any, ...]) -> list[Any]:
        """Rows of a query, of values that are of these kinds.

        Raises:
            sqlite3.DataError: They are of others, as in a file that is damaged, or a path leads out of the folder.
        """
        rows = self._db.execute(query, values).fetchall()
        for column, kind in enumerate(kinds):
            of_kind = str if kind is PATH else kind
            for row in rows:
                if not isinstance(row[column], of_kind):
                    raise sqlite3.DataError(f"it holds a value of another kind than {of_kind}")
                if kind is PATH and LEADS_OUT.search(row[column]):
                    raise sqlite3.DataError(f"it names '{shown(row[column])}', which is no path within its folder")
        return rows

    def faults_of_file(self) -> list[str]:
        """What SQLite finds wrong in the file, whose every page is read."""
        with self._explained():
            found = [str(row[0]) for row in self._db.execute("PRAGMA integrity_check(10)") if row[0] != "ok"]
            strays = self._db.execute("PRAGMA foreign_key_check").fetchall()
            missing = {"verdict", "sidecar"} - {row[0] for row in self._db.execute("SELECT name FROM sqlite_master")}
        found += [f"{len(strays)} rows lead nowhere"] if strays else []
        return found + [f"it has no table '{name}'" for name in sorted(missing)]

    def _is_a_copy(self) -> bool:
        """Whether another catalogue has its place beside the folder that it names, so that both were copied."""
        place = self.folder.with_name(f"{self.folder.name}{self.path.suffix}")
        return place.is_file() and not place.samefile(self.path)

    def _connected(self, folder: Path | None, reading: bool) -> sqlite3.Connection:
        if not reading:
            try:
                return self._writable(folder)
            except sqlite3.OperationalError as error:
                if folder is not None or error.sqlite_errorcode & 0xFF not in UNWRITABLE:
                    raise
        self.is_reading = True
        database = self._readable()
        if not database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise sqlite3.DatabaseError("nothing is in it")
        return database

    def _readable(self) -> sqlite3.Connection:
        try:
            return self._opened("?mode=ro")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in UNWRITABLE:
                raise
        # SQLite cannot write its auxiliary files beside the catalogue
        log = self.path.with_name(f"{self.path.name}-wal")
        if not log.is_file() or not log.stat().st_size:
            return self._opened("?immutable=1")
        copy = Path(self._closing.enter_context(TemporaryDirectory())) / self.path.name
        shutil.copyfile(self.path, copy)
        shutil.copyfile(log, copy.with_name(log.name))
        return self._opened("", copy)

    def _writable(self, folder: Path | None) -> sqlite3.Connection:
        if self.path.is_file() and (tables := _tables_in(self.path)) and not tables >= TABLES:
            raise sqlite3.DatabaseError("it is of another program")
        database = self._opened("", reads=False)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        schema.prepare(database, folder)
        return database

    def _opened(self, options: str, path: Path | None = None, *, reads: bool = True) -> sqlite3.Connection:
        uri = f"{(path or self.path).resolve().as_uri()}{options}"
        database = sqlite3.connect(uri, uri=True, timeout=SECONDS_TO_WAIT, check_same_thread=False)
        database.text_factory = _text
        self._closing.callback(database.close)
        if reads:
            database.execute("SELECT count(*) FROM sqlite_master")
        return database

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
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:  # the latter of its schema
            raise ZerotagError(
                f"{self.path} is no catalogue of zerotag, or it is damaged ({error}); zerotag doctor "
                "--check tells more; where nothing helps, set it aside and tag the folder again"
            ) from error


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; none has a name that the system finds too long."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _text(content: bytes) -> str:
    """A text as file names are decoded, so that one that is damaged does not stand in the way of the others."""
    return content.decode("utf-8", "surrogateescape")


def is_blank(path: Path) -> bool:
    """Whether a file is empty, or a database without a table, as a process that was killed while it made it leaves."""
    return _tables_in(regular(path)) == set()


def _tables_in(path: Path) -> set[str] | None:
    """Names of a database's tables; None where they cannot be read."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return {row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    except (sqlite3.Error, UnicodeDecodeError):
        return None
