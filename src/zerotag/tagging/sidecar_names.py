"""Names of XMP files: which file belongs to a picture.

``IMG.jpg.xmp`` is what digiKam, darktable and Immich write, and the default; Lightroom, Capture One and others write
``IMG.xmp``. A file whose name differs in case alone is taken for the same.
"""

from __future__ import annotations

import os
from contextlib import suppress
from enum import StrEnum
from functools import lru_cache
from pathlib import Path, PurePosixPath

from zerotag.errors import ZerotagError

XMP = ".xmp"
# files that share a picture's name and have no XMP file of their own: notes, settings of raw developers, sound
COMPANIONS = frozenset(
    {".aae", ".arp", ".cop", ".cos", ".csv", ".dop", ".gpx", ".htm", ".html", ".json", ".log", ".lrv", ".m4a"}
    | {".md", ".mp3", ".nksc", ".on1", ".pp3", ".rss", ".thm", ".txt", ".vrd", ".wav", ".xml", ".xmp"}
)


class SidecarNames(StrEnum):
    """How an XMP file is named after its picture: ``IMG.jpg.xmp`` or ``IMG.xmp``."""

    FULL = "full"
    STEM = "stem"


class Names:
    """Names of the XMP files of a folder's pictures.

    Args:
        folder: Folder of the pictures.
        convention: Convention of the names.
    """

    def __init__(self, folder: Path, convention: SidecarNames) -> None:
        self._folder, self._convention = folder, convention
        self._listing = lru_cache(maxsize=2)(self._listed)

    def of(self, picture: str) -> str:
        """Path of a picture's XMP file below the folder, whether it is there or not.

        Raises:
            ZerotagError: by its stem it would belong to several files.
        """
        if self._convention is SidecarNames.FULL:
            return self._spelled(picture, PurePosixPath(picture).name)
        if others := self._sharing_stem(picture):
            raise ZerotagError(
                f"it would belong to {others[0]} too; give each file of this name an XMP file of its own, with "
                "--sidecar-names full"
            )
        return self._spelled(picture, PurePosixPath(picture).stem)

    def other(self, picture: str) -> str | None:
        """Path of an XMP file that has the picture's name by the other convention, if there is one.

        By its stem it may be shared: see :meth:`is_shared`.
        """
        path = PurePosixPath(picture)
        if self._convention is SidecarNames.STEM:
            found = self._spelled(picture, path.name)
        elif path.stem.casefold() in self._listing(path.parent):
            return None  # photo.jpg.xmp belongs to photo.jpg, not to photo.jpg.webp
        else:
            found = self._spelled(picture, path.stem)
        return found if os.path.lexists(self._folder / found) else None

    def is_shared(self, picture: str) -> bool:
        """Whether the XMP file of the picture's stem may belong to another file."""
        return bool(self._sharing_stem(picture))

    def _spelled(self, picture: str, name: str) -> str:
        """The path of ``name`` with the suffix, spelled as the file that is there."""
        path, wanted = PurePosixPath(picture), f"{name}{XMP}"
        there = self._listing(path.parent)
        same = there.get(wanted.casefold(), [])
        # of two pictures IMG.jpg and img.JPG each has a file of its own
        free = [
            one for one in same if one[: -len(XMP)] == name or one[: -len(XMP)] not in there.get(name.casefold(), [])
        ]
        return (path.parent / (wanted if wanted in same or not free else free[0])).as_posix()

    def _sharing_stem(self, picture: str) -> list[str]:
        path = PurePosixPath(picture)
        there = [PurePosixPath(name) for names in self._listing(path.parent).values() for name in names]
        stem = path.stem.casefold()
        shared = (name for name in there if name.stem.casefold() == stem and name.suffix.lower() not in COMPANIONS)
        whole = (name for name in there if name.name.casefold() == stem)
        return sorted(name.name for name in (*shared, *whole) if name.name != path.name)

    def _listed(self, parent: PurePosixPath) -> dict[str, list[str]]:
        """Names in a folder, as they are spelled, by their folded form."""
        found: dict[str, list[str]] = {}
        with suppress(OSError):  # the file that cannot be read or written says why
            for file in sorted((self._folder / parent).iterdir()):
                found.setdefault(file.name.casefold(), []).append(file.name)
        return found
