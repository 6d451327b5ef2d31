"""What a catalogue knows of the XMP files that zerotag wrote."""

from __future__ import annotations

import json
import sqlite3
import zlib
from dataclasses import dataclass

from zerotag.errors import ZerotagError
from zerotag.tagging.database import PATH, Database
from zerotag.tagging.sidecar_names import XMP


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


class SidecarNotes(Database):
    """The part of a catalogue that is about XMP files."""

    def sidecar(self, file: str) -> Sidecar | None:
        """What is known of an XMP file, if zerotag wrote it.

        Raises:
            ZerotagError: The note is not as it was written.
        """
        with self._explained():
            rows = self._fetched(
                f"SELECT original, written, added, {self._checksum} FROM sidecar WHERE path = ?",
                (_without_suffix(file),),
                (bytes | None, bytes, str, int | None),
            )
        if not rows:
            return None
        original, written, added, noted = rows[0]
        if noted is not None and noted != _checksum(original, written, added):
            raise ZerotagError(
                f"what {self.path} keeps of it is damaged, so zerotag does not know how it was before, and leaves it "
                "alone; put it back from a backup of your own"
            ) from sqlite3.DataError("another checksum")
        return Sidecar(file, original, written, _texts(added))

    def sidecars(self) -> dict[str, bytes]:
        """XMP files that zerotag wrote, with the digests of what it wrote."""
        with self._explained():
            rows = self._fetched("SELECT path, written FROM sidecar ORDER BY path", (), (PATH, bytes))
        return {name if name.lower().endswith(XMP) else f"{name}{XMP}": written for name, written in rows}

    def note_sidecar(self, sidecar: Sidecar) -> None:
        """Keep what is needed to remove an XMP file's tags."""
        kept = (sidecar.original, sidecar.written, json.dumps(sidecar.added))
        with self._explained(), self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO sidecar (path, original, written, added, checksum) VALUES (?, ?, ?, ?, ?)",
                (_without_suffix(sidecar.path), *kept, _checksum(*kept)),
            )

    def forget_sidecar(self, file: str) -> None:
        """Drop the note of an XMP file that has nothing of zerotag in it any more."""
        with self._explained(), self._db:
            self._db.execute("DELETE FROM sidecar WHERE path = ?", (_without_suffix(file),))


def _checksum(original: bytes | None, written: bytes, added: str) -> int:
    return zlib.crc32(added.encode(), zlib.crc32(written, zlib.crc32(original or b"", int(original is None))))


def _texts(added: str) -> list[str]:
    """Keywords of a note; none where a note without a checksum is damaged, so that none too many are removed."""
    try:
        texts = json.loads(added)
    except ValueError:
        return []
    return [text for text in texts if isinstance(text, str)] if isinstance(texts, list) else []


def _without_suffix(file: str) -> str:
    """The name under which an XMP file is kept; one whose suffix is spelled otherwise keeps it."""
    name = file.removesuffix(XMP)
    return file if name.lower().endswith(XMP) else name
