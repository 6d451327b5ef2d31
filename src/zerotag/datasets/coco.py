"""COCO's JSON, as its authors gave it out and as CVAT, Datumaro, FiftyOne, Label Studio and Roboflow write it.

Categories are the labels, one that no annotation of a picture names is negative, boxes say where a label is. Files say
their split by their names, or by those of the folders they lie in; validation and test pictures are taken for testing,
and where no split is told one picture in five, by its path. Lin et al., ECCV 2014.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Int8

from zerotag.datasets.boxes import Boxes
from zerotag.datasets.coco_files import (
    LAYOUT,
    CocoAnnotation,
    CocoFile,
    CocoImage,
    Places,
    files_of,
    parsed,
    split_of,
    stem_of,
)
from zerotag.datasets.folder import drawn_split
from zerotag.datasets.pictures import TEST, TRAIN, PictureDataset, SceneObject
from zerotag.errors import ZerotagError, first_few

PURPOSE = {TRAIN: "training", TEST: "testing"}
UNNAMED = "0"  # how Datumaro writes an annotation without a label; a category may have this number too


@dataclass
class _Picture:
    """What files say of a picture: 1, −1, and 0 of labels that none of them lists."""

    file: Path
    split: str
    row: Int8[np.ndarray, " c"]
    objects: list[SceneObject] = field(default_factory=list)

    def add(self, annotations: Sequence[CocoAnnotation], column: dict[str, int]) -> None:
        """Take in the annotations of a file whose categories are in these columns."""
        listed = np.zeros(len(self.row), bool)
        listed[list(column.values())] = True
        self.row[listed & (self.row == 0)] = -1
        self.row[[column[str(one.category_id)] for one in annotations if str(one.category_id) in column]] = 1


def recognises(root: Path) -> bool:
    """Whether the folder looks like this layout."""
    return bool(files_of(root))


def read(root: Path) -> PictureDataset:
    """Read the layout.

    Raises:
        ZerotagError: a file is damaged or of another form; an annotation names a picture or a category that is not
            there; files call one category by different names; a picture is in two files, or outside the folder; or no
            picture is there.
    """
    contents = {file: parsed(file) for file in files_of(root)}
    labels, notes = _labels(contents)
    number_of = {name: number for number, name in enumerate(labels)}
    notes += _notes_on_splits(root, list(contents))
    path_of: dict[str, str] = {}
    pictures: dict[str, _Picture] = {}
    left_out: dict[str, str] = {}
    for file, content in contents.items():
        places, of_image = Places(root, file), _by_image(file, content)
        name_of = _names(content)
        column = {identity: number_of[name] for identity, name in name_of.items() if name in number_of}
        again, boxes = 0, Boxes()
        for image in content.images:
            path, is_there = places.find(image.file_name)
            if not is_there:
                left_out[path] = "not there"
                continue
            path = path_of.setdefault(os.path.realpath(root / path), path)
            if path not in pictures:
                split = split_of(file) or drawn_split(path)
                pictures[path] = _Picture(file, split, np.zeros(len(labels), np.int8))
            elif pictures[path].file == file:
                again += 1
            elif stem_of(pictures[path].file) != stem_of(file):
                raise ZerotagError(f"the picture '{path}' is in both {pictures[path].file} and {file}; leave it in one")
            own = of_image.pop(str(image.id), [])
            pictures[path].add(own, column)
            pictures[path].objects += _objects(image, own, name_of, boxes)
        if again:
            notes.append(
                f"{file.name} lists {again} pictures again, under other numbers; their labels are put together"
            )
        notes += [*_notes_on_categories(file, content), *boxes.notes(file.name)]
    if not pictures:
        looked_for = root / next(iter(left_out), "")
        raise ZerotagError(f"{root} holds none of the {len(left_out)} pictures listed, such as {looked_for}; {LAYOUT}")
    objects = tuple(tuple(picture.objects) for picture in pictures.values())
    return PictureDataset(
        root,
        tuple(pictures),
        tuple(picture.split for picture in pictures.values()),
        labels,
        np.stack([picture.row for picture in pictures.values()]),
        objects if any(objects) else None,
        left_out=left_out,
        notes=tuple(notes),
    )


def _labels(contents: dict[Path, CocoFile]) -> tuple[tuple[str, ...], list[str]]:
    """Names of the categories of all files, and which of them were left out: those that only group others."""
    (first, content), *others = contents.items()
    names = _names(content)
    for file, other in others:
        own = _names(other)
        ours, theirs = set(names.values()), set(own.values())
        renamed = [
            (names[one], own[one])
            for one in names.keys() & own.keys()
            if names[one] not in theirs and own[one] not in ours
        ]
        if renamed:
            was, now = min(renamed)
            raise ZerotagError(
                f"{file} has other categories than {first.name}: '{now}' where that has '{was}'; give both files the "
                "same list"
            )
    categories = [of for content in contents.values() for of in content.categories]
    annotated: set[str] = set()
    for content in contents.values():
        used = {str(one.category_id) for one in content.annotations}
        annotated |= {name for identity, name in _names(content).items() if identity in used}
    above = {str(of.supercategory) for of in categories if of.supercategory != of.name}
    every = list(dict.fromkeys(of.name for of in categories))
    groups = [name for name in every if name in above and name not in annotated]
    if len(groups) == len(every):
        groups = []
    notes = [f"the categories {first_few(groups)} only group others and are not labels"] if groups else []
    grouping = set(groups)
    return tuple(name for name in every if name not in grouping), notes


def _names(content: CocoFile) -> dict[str, str]:
    """Names of the categories by their numbers, which some programs write as texts."""
    return {str(of.id): of.name for of in content.categories}


def _notes_on_splits(root: Path, files: Sequence[Path]) -> list[str]:
    undecided = [file.name for file in files if split_of(file) is None]
    told = [f"{file.relative_to(root).as_posix()} for {PURPOSE[of]}" for file in files if (of := split_of(file))]
    tested = {stem_of(file) for file in files if split_of(file) == TEST}
    notes = [f"splits are told by names: {', '.join(told)}"] if told else []
    if undecided:
        notes.append(f"{', '.join(undecided)}: no split in the name, so one picture in five is taken for testing")
    if len(tested) > 1:
        notes.append(f"the pictures of {' and '.join(sorted(tested))} are all taken for testing")
    return notes


def _notes_on_categories(file: Path, content: CocoFile) -> list[str]:
    count = Counter(of.name for of in content.categories)
    unnamed = sum(one.category_id is None for one in content.annotations)
    notes = []
    if twice := [name for name, number in count.items() if number > 1]:
        notes.append(f"{file.name} lists {first_few(twice)} as several categories; they are taken as one label each")
    if unnamed:
        notes.append(f"{file.name}: {unnamed} annotations name no category and are passed over")
    return notes


def _by_image(file: Path, content: CocoFile) -> dict[str, list[CocoAnnotation]]:
    """The annotations of each picture."""
    file_names: dict[str, str] = {}
    for image in content.images:
        if file_names.setdefault(str(image.id), image.file_name) != image.file_name:
            raise ZerotagError(
                f"{file} gives number {image.id} to '{file_names[str(image.id)]}' and to '{image.file_name}', so whose "
                "annotations are meant is not known; give each picture its own number"
            )
    known = _names(content).keys()
    of_image: dict[str, list[CocoAnnotation]] = defaultdict(list)
    for one in content.annotations:
        if one.category_id is not None and str(one.category_id) == UNNAMED and UNNAMED not in known:
            one.category_id = None
        of_image[str(one.image_id)].append(one)
    if lost := sorted(of_image.keys() - file_names.keys()):
        raise ZerotagError(f"{file} has annotations of {len(lost)} pictures that it does not list: {first_few(lost)}")
    if unknown := sorted({str(one.category_id) for one in content.annotations if one.category_id is not None} - known):
        raise ZerotagError(f"{file} has annotations of category {unknown[0]}, which it does not list; {LAYOUT}")
    return of_image


def _objects(
    image: CocoImage, annotations: Sequence[CocoAnnotation], name_of: dict[str, str], boxes: Boxes
) -> list[SceneObject]:
    """The boxes of a picture; none where its size is not known."""
    width, height = image.width or 0.0, image.height or 0.0
    if width <= 0 or height <= 0:
        return []
    found = []
    for one in annotations:
        if not one.bbox or one.category_id is None:
            continue
        left, top, across, down = one.bbox
        box = boxes.shares((left, top, left + across, top + down), width, height)
        if box is not None:
            found.append(SceneObject(box, (name_of[str(one.category_id)],)))
    return found
