"""The tables of a catalogue, made, and brought from the first format to the present one."""

from __future__ import annotations

import sqlite3
from pathlib import Path

FORMAT, FIRST_FORMAT = "2", "1"
CHECKSUM = "checksum INTEGER"  # of which rows of the first format have none
TABLES = {"about", "model", "file", "content"}
SCHEMA = f"""
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
    {CHECKSUM}, PRIMARY KEY (digest, model)
);
CREATE TABLE verdict (digest BLOB, label TEXT, accepted INTEGER NOT NULL, PRIMARY KEY (digest, label)) WITHOUT ROWID;
CREATE TABLE sidecar (
    path TEXT PRIMARY KEY, original BLOB, written BLOB NOT NULL, added TEXT NOT NULL, {CHECKSUM}
) WITHOUT ROWID;
"""


def prepare(database: sqlite3.Connection, folder: Path | None) -> None:
    """Make the tables of a catalogue of ``folder`` where there are none, and bring old ones to the present format."""
    if folder is None and _format(database) != FIRST_FORMAT:
        return
    with database:
        database.execute("BEGIN IMMEDIATE")
        found = _format(database)  # another process may have been first
        if found == FIRST_FORMAT:
            for table in ("content", "sidecar"):
                database.execute(f"ALTER TABLE {table} ADD COLUMN {CHECKSUM}")
            database.execute("UPDATE about SET value = ? WHERE key = 'format'", (FORMAT,))
        elif folder is not None and found is None:
            for statement in SCHEMA.split(";"):
                database.execute(statement)
            about = [("format", FORMAT), ("folder", str(folder.resolve()))]
            database.executemany("INSERT INTO about VALUES (?, ?)", about)


def _format(database: sqlite3.Connection) -> str | None:
    """The format of a catalogue; None where it is not made yet, "" where it does not say."""
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'about'").fetchone():
        return None
    found = database.execute("SELECT value FROM about WHERE key = 'format'").fetchone()
    return str(found[0]) if found else ""
