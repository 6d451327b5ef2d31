"""Files of COCO's JSON: where programs put them, what is in them, and where their pictures are."""

from __future__ import annotations

import codecs
import json
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from pydantic import BaseModel, FiniteFloat, ValidationError

from zerotag.datasets.label_table import Label, tables_of
from zerotag.datasets.pictures import TEST, TESTING, TRAIN, TRAINING, on_disk, words_of
from zerotag.errors import ZerotagError
from zerotag.labels import UTF16
from zerotag.opening import regular

ANNOTATIONS = "annotations"
PREFIXES = ("instances_", "labels_")
VALIDATING = {"val", "valid", "validation", "minival", "valminusminival"}
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
    found = named_files(root)
    if not found and not tables_of(root):
        found = next((files for files in _by_place(root) if files), [])
    return sorted(found, key=lambda file: (split_of(file) != TRAIN, file))


def named_files(root: Path) -> list[Path]:
    """The files that are COCO's by their names."""
    files = [file for place in _folders(root, (ANNOTATIONS,)) for file in _json_files(place)]
    return [file for file in files if file.name.casefold().startswith(PREFIXES)]


def every_file(root: Path) -> list[Path]:
    """All files that are COCO's by their names or as they begin, in the places where programs put them."""
    return sorted({*named_files(root), *(file for files in _by_place(root) for file in files)})


def has_tables(root: Path) -> bool:
    """Whether a folder has a table of labels, or files that are COCO's by their names."""
    return bool(tables_of(root) or named_files(root))


def _by_place(root: Path) -> Iterator[list[Path]]:
    """The files that begin like COCO's, place by place."""
    for places in (_folders(root, (ANNOTATIONS,)), [root], _folders(root, SPLIT_FOLDERS)):
        yield [file for place in places for file in _json_files(place) if _is_coco(file)]


def _folders(root: Path, names: tuple[str, ...]) -> list[Path]:
    """The folders of these names, in any case."""
    there = root.iterdir() if root.is_dir() else ()
    return sorted(place for place in there if place.name.casefold() in names and place.is_dir())


def _json_files(place: Path) -> list[Path]:
    return [file for file in place.iterdir() if file.suffix.casefold() == ".json"] if place.is_dir() else []


def _is_coco(file: Path) -> bool:
    try:
        with regular(file).open("rb") as opened:
            start = opened.read(START_BYTES)
    except OSError:
        return False
    if start.startswith(UTF16):
        start = start.decode("utf-16", "ignore").encode()
    return START.match(start) is not None


def split_of(file: Path) -> str | None:
    """The split that the name of a file, or of the folder it lies in, tells; None where neither does."""
    words = words_of(file.stem if file.parent.name.casefold() not in SPLIT_FOLDERS else file.parent.name)
    if words & {*TRAINING, "trainval"}:
        return TRAIN
    return TEST if words & (TESTING | VALIDATING) else None


def stem_of(file: Path) -> str:
    """What tells files of different pictures apart: folder and name, without what kind of annotations they hold."""
    return f"{file.parent.name}/{_without_kind(file)}"


def _without_kind(file: Path) -> str:
    prefix = next((prefix for prefix in PREFIXES if file.stem.casefold().startswith(prefix)), "")
    return file.stem[len(prefix) :]


def parsed(file: Path) -> CocoFile:
    """The content of a file.

    Raises:
        ZerotagError: it cannot be read, is damaged, or is of another form; a list comes twice; or two categories have
            one number.
    """
    try:
        content = regular(file).read_bytes().removeprefix(codecs.BOM_UTF8)
    except OSError as error:
        raise ZerotagError(f"{file} cannot be read ({error.strerror})") from error
    if content.startswith(UTF16):
        raise ZerotagError(f"{file} is UTF-16 text; save it as UTF-8")
    if twice := _twice(content):
        raise ZerotagError(f"{file}: the key '{twice}' comes twice; put both lists into one")
    try:
        found = CocoFile.model_validate_json(content)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        reason = fault["msg"].removeprefix("Value error, ").lower()
        raise ZerotagError(f"{file}: '{where}': {reason}; {LAYOUT}") from error
    names: dict[str, str] = {}
    for of in found.categories:
        if (first := names.setdefault(str(of.id), of.name)) != of.name:
            raise ZerotagError(
                f"{file} gives number {of.id} to the categories '{first}' and '{of.name}', so which of them is meant "
                "is not known; give each category its own number"
            )
    return found


def _twice(content: bytes) -> str | None:
    """A list that comes twice; of JSON's keys of one name the last alone would count."""
    suspects = [key for key in CocoFile.model_fields if content.count(f'"{key}"'.encode()) > 1]
    try:  # each object becomes a tuple of pairs, that of the file the last one
        pairs = json.loads(content, object_pairs_hook=tuple) if suspects else ()
    except (ValueError, RecursionError):
        return None
    keys = [key for key, _ in pairs] if isinstance(pairs, tuple) else []
    return next((key for key in suspects if keys.count(key) > 1), None)


class Places:
    """Where the pictures of a file may be.

    Args:
        root: of the data set.
        file: of annotations.
    """

    def __init__(self, root: Path, file: Path) -> None:
        self.root, self.file = root, file
        self.beside = "" if file.parent == root else file.parent.relative_to(root).as_posix()
        home = "" if self.beside.casefold() == ANNOTATIONS else self.beside
        name = _without_kind(file)
        if name == file.stem and (home or not split_of(file)):
            name = ""
        own = self._named(home, name)
        there = [folder for folder in own if (root / folder).is_dir()]
        parts = name.split("_")  # of person_keypoints_train2017.json the pictures are in train2017
        tails = [folder for i in range(1, len(parts)) for folder in self._named(home, "_".join(parts[i:]))]
        likely = [*(folder for folder in tails if (root / folder).is_dir()), *own]
        self.folders = there[:1] or [*likely[:1], *(posixpath.join(home, folder) for folder in PICTURE_FOLDERS), home]
        self.above = [home, posixpath.join(home, "images")]  # for names that begin with the folder's

    @staticmethod
    def _named(home: str, name: str) -> list[str]:
        return [posixpath.join(home, *above, name) for above in ((), ("images",)) if name]

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
