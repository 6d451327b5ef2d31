"""COCO's JSON: ``annotations/instances_train2017.json`` and that of ``val2017``; pictures in folders of these names.

Categories are the labels, a category that no annotation names is negative, boxes say where a label is. The validation
split is taken for testing, as everyone does. Lin et al., ECCV 2014.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field, ValidationError

from zerotag.datasets.pictures import TEST, TRAIN, PictureDataset, SceneObject
from zerotag.errors import ZerotagError, first_few

PREFIX = "instances_"
LAYOUT = "the layout is described in docs/formats.md"
Side = Annotated[int, Field(ge=1)]


class _Image(BaseModel):
    id: int
    file_name: str
    width: Side
    height: Side


class _Annotation(BaseModel):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]


class _Category(BaseModel):
    id: int
    name: str


class _File(BaseModel):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


def files_of(root: Path) -> list[Path]:
    """The files of instances; training comes first."""
    found = sorted((root / "annotations").glob(f"{PREFIX}*.json"))
    return sorted(found, key=lambda file: "train" not in file.stem)


def recognises(root: Path) -> bool:
    """Whether the folder looks like this layout."""
    return bool(files_of(root))


def read(root: Path) -> PictureDataset:
    """Read the layout.

    Raises:
        ZerotagError: a file is damaged or of another form, files differ in their categories, or an annotation names a
            picture or a category that is not there.
    """
    contents = {file: _parsed(file) for file in files_of(root)}
    categories = {file: {of.id: of.name for of in content.categories} for file, content in contents.items()}
    (first, names), *others = categories.items()
    for file, other in others:
        if other != names:
            raise ZerotagError(f"{file} has other categories than {first.name}; they cannot be of one data set")
    labels = tuple(names.values())
    column = {identity: c for c, identity in enumerate(names)}
    paths, splits, rows, objects = [], [], [], []
    left_out: dict[str, str] = {}
    for file, content in contents.items():
        folder = _folder(root, file)
        of_image = _by_image(file, content, names)
        for image in content.images:
            path = f"{folder}/{image.file_name}"
            if not (root / path).is_file():
                left_out[path] = "not there"
                continue
            row = np.full(len(labels), -1, np.int8)
            row[[column[one.category_id] for one in of_image[image.id]]] = 1
            paths.append(path)
            splits.append(TRAIN if "train" in file.stem else TEST)
            rows.append(row)
            objects.append(tuple(_object(image, one, names) for one in of_image[image.id]))
    if not paths:
        raise ZerotagError(f"{root} holds none of the {len(left_out)} pictures listed; {LAYOUT}")
    return PictureDataset(root, tuple(paths), tuple(splits), labels, np.stack(rows), tuple(objects), left_out=left_out)


def _parsed(file: Path) -> _File:
    try:
        return _File.model_validate_json(file.read_bytes())
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise ZerotagError(f"{file}: '{where}': {fault['msg'].lower()}; {LAYOUT}") from error


def _folder(root: Path, file: Path) -> str:
    """Where the pictures of a file are, below the root."""
    name = file.stem.removeprefix(PREFIX)
    return next((place for place in (name, f"images/{name}") if (root / place).is_dir()), name)


def _by_image(file: Path, content: _File, names: dict[int, str]) -> dict[int, list[_Annotation]]:
    known = {image.id for image in content.images}
    of_image: dict[int, list[_Annotation]] = defaultdict(list)
    for one in content.annotations:
        of_image[one.image_id].append(one)
    if lost := sorted(of_image.keys() - known):
        raise ZerotagError(
            f"{file} has annotations of {len(lost)} pictures that it does not list: {first_few([str(i) for i in lost])}"
        )
    if unknown := sorted({one.category_id for one in content.annotations} - names.keys()):
        raise ZerotagError(f"{file} has annotations of category {unknown[0]}, which it does not list; {LAYOUT}")
    return of_image


def _object(image: _Image, one: _Annotation, names: dict[int, str]) -> SceneObject:
    left, top, width, height = one.bbox
    box = (left / image.width, top / image.height, (left + width) / image.width, (top + height) / image.height)
    return SceneObject(box, (names[one.category_id],))
