"""Files of COCO's JSON: where programs put them, what is in them, and where their pictures are."""

from __future__ import annotations

import codecs
import posixpath
import re
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from pydantic import BaseModel, FiniteFloat, ValidationError

from zerotag.datasets.label_table import Label, tables_of
from zerotag.datasets.pictures import TEST, TRAIN, on_disk
from zerotag.errors import ZerotagError
from zerotag.labels import UTF16

ANNOTATIONS = "annotations"
PREFIXES = ("instances_", "labels_")
SPLIT_FOLDERS = ("train", "valid", "val", "validation", "test")
PICTURE_FOLDERS = ("images", "data")
START = re.compile(rb'(\xef\xbb\xbf)?\s*\{\s*"(info|licenses|type|images|annotations|categories)"\s*:')
START_BYTES = 256
LAYOUT = "the layout is described in docs/formats.md"


Identity = int | str
Box = tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]


class CocoImage(BaseModel):
    """A picture; programs that do not know its size write 0 or null."""

    id: Identity
    file_name: str
    width: FiniteFloat | None = None
    height: FiniteFloat | None = None


class CocoAnnotation(BaseModel):
    """A label of a picture, with its box or without."""

    image_id: Identity
    category_id: Identity | None
    bbox: Box | tuple[()] | None = None


class CocoCategory(BaseModel):
    """A label, and what it is grouped under."""

    id: Identity
    name: Label
    supercategory: Any = None


class CocoFile(BaseModel):
    """What is read of a file."""

    images: list[CocoImage]
    annotations: list[CocoAnnotation] = []
    categories: list[CocoCategory]


def files_of(root: Path) -> list[Path]:
    """The files of a data set; training comes first.

    They are ``annotations/instances_*.json`` and ``annotations/labels_*.json``, or else, in a folder without a table of
    labels, JSON that begins like COCO's in ``annotations``, in the folder itself, or in folders named as splits.
    """
    named = [file for prefix in PREFIXES for file in (root / ANNOTATIONS).glob(f"{prefix}*.json")]
    if not named and not tables_of(root):
        places = ([root / ANNOTATIONS], [root], [root / name for name in SPLIT_FOLDERS])
        by_place = ([file for place in some for file in place.glob("*.json") if _is_coco(file)] for some in places)
        named = next((files for files in by_place if files), [])
    return sorted(named, key=lambda file: (split_of(file) != TRAIN, file))


def _is_coco(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return START.match(opened.read(START_BYTES)) is not None
    except OSError:
        return False


def split_of(file: Path) -> str | None:
    """The split that the name of a file, or of the folder it lies in, tells; None where neither does."""
    name = file.stem if file.parent.name not in SPLIT_FOLDERS else file.parent.name
    if "train" in name.lower():
        return TRAIN
    return TEST if any(word in name.lower() for word in ("val", "test")) else None


def stem_of(file: Path) -> str:
    """What tells files of different pictures apart: folder and name, without what kind of annotations they hold."""
    prefix = next((prefix for prefix in PREFIXES if file.stem.startswith(prefix)), "")
    return f"{file.parent.name}/{file.stem.removeprefix(prefix)}"


def parsed(file: Path) -> CocoFile:
    """The content of a file.

    Raises:
        ZerotagError: it cannot be read, is damaged, or is of another form.
    """
    try:
        content = file.read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise ZerotagError(f"{file} cannot be read ({error.strerror})") from error
    if content.startswith(UTF16):
        raise ZerotagError(f"{file} is UTF-16 text; save it as UTF-8")
    try:
        return CocoFile.model_validate_json(content)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        reason = fault["msg"].removeprefix("Value error, ").lower()
        raise ZerotagError(f"{file}: '{where}': {reason}; {LAYOUT}") from error


class Places:
    """Where the pictures of a file may be.

    Args:
        root: of the data set.
        file: of annotations.
    """

    def __init__(self, root: Path, file: Path) -> None:
        self.root, self.file = root, file
        self.beside = "" if file.parent == root else file.parent.relative_to(root).as_posix()
        home = "" if self.beside == ANNOTATIONS else self.beside
        prefix = next((prefix for prefix in PREFIXES if file.stem.startswith(prefix)), "")
        name = file.stem.removeprefix(prefix) if prefix or (split_of(file) and not home) else ""
        own = [posixpath.join(home, *parts, name) for parts in ((), ("images",)) if name]
        there = [folder for folder in own if (root / folder).is_dir()]
        self.folders = there[:1] or [*own[:1], *(posixpath.join(home, folder) for folder in PICTURE_FOLDERS), home]
        self.above = [home, posixpath.join(home, "images")]  # for names that begin with the folder's

    def find(self, name: str) -> tuple[str, bool]:
        """The path of a picture below the root, and whether it is there.

        Raises:
            ZerotagError: the name leads out of the folder.
        """
        plain = name.strip().replace("\\", "/")
        if plain.startswith("/") or PureWindowsPath(plain).drive:
            root = self.root.resolve().as_posix()
            tried = [posixpath.relpath(plain, root)] if PurePosixPath(plain).is_relative_to(root) else []
        elif ".." in plain and posixpath.normpath(plain).startswith("../"):
            path = posixpath.normpath(posixpath.join(self.beside, plain))  # from where the file is
            tried = [] if path.startswith("../") else [path]
        else:
            folders = [*self.folders, *(self.above if "/" in plain else ())]
            tried = [posixpath.join(folder, name) for folder in dict.fromkeys(folders)]
        if not tried:
            raise ZerotagError(
                f"{self.file}: '{name}' leads out of {self.root}; put the pictures into the folder and name them "
                "relative to it"
            )
        found = (on_disk(self.root, path) for path in tried)
        return next(((path, True) for path in found if path is not None), (posixpath.normpath(tried[0]), False))
