"""Pictures of one's own: a folder with a table of labels.

``labels.jsonl`` holds a line a picture, such as ``{"path": "a.jpg", "labels": ["dog", "beach"], "split": "train"}``;
``labels.csv`` the columns ``path``, ``labels`` (separated by ``;``) and, if wanted, ``split``. Without splits one
picture in five is taken for testing, by its path. ``labels.txt``, if it is there, lists the labels that may come, one a
line. A line of ``labels.jsonl`` may hold ``objects``, a list of ``{"box": [left, top, right, bottom], "labels": […]}``
in pixels, with ``width`` and ``height`` of the picture beside them. A label that a picture does not list is taken as
negative; where a line holds ``rejected``, a list of labels, these alone are negative and all others unknown.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zerotag.datasets.pictures import TEST, TRAIN, PictureDataset, SceneObject
from zerotag.errors import ZerotagError
from zerotag.labels import read_label_file

TEST_SHARE = 0.2
LAYOUT = "its layout is described in the help of: zerotag data"
Text = Annotated[str, Field(min_length=1)]


class _Object(BaseModel):
    box: tuple[float, float, float, float]
    labels: list[Text]


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore")

    path: Text
    labels: list[Text]
    split: Literal["train", "test"] | None = None
    rejected: list[Text] | None = None
    objects: list[_Object] | None = None
    width: Annotated[int, Field(ge=1)] | None = None
    height: Annotated[int, Field(ge=1)] | None = None


def read_folder(root: Path) -> PictureDataset:
    """Read a folder of pictures with its table of labels.

    Raises:
        ZerotagError: no such folder or table, a line that does not hold, a picture that is not there or comes twice, a
            label that ``labels.txt`` does not list, or no labels at all.
    """
    rows = list(_rows(root))
    paths = [row.path for row in rows]
    if len(set(paths)) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise ZerotagError(f"{root}: the picture '{twice}' is listed more than once; put its labels on one line")
    if missing := [path for path in paths if not (root / path).is_file()]:
        raise ZerotagError(f"{root}: {len(missing)} of {len(paths)} pictures are not there, such as '{missing[0]}'")
    labels = _labels(root, rows)
    column = {label: c for c, label in enumerate(labels)}
    annotations = np.full((len(rows), len(labels)), -1, np.int8)
    for i, row in enumerate(rows):
        if row.rejected is not None:
            annotations[i] = 0
        for label, verdict in [*((one, -1) for one in row.rejected or ()), *((one, 1) for one in row.labels)]:
            if label not in column:
                raise ZerotagError(f"{root}: '{row.path}' has the label '{label}', which labels.txt does not list")
            annotations[i, column[label]] = verdict
    annotations.flags.writeable = False
    objects = None if all(row.objects is None for row in rows) else tuple(_objects(root, row) for row in rows)
    splits = tuple(row.split or _drawn_split(row.path) for row in rows)
    return PictureDataset(root, tuple(paths), splits, labels, annotations, objects)


def _rows(root: Path) -> Iterator[_Row]:
    if not root.is_dir():
        raise ZerotagError(f"there is no folder {root}")
    readers = {"labels.jsonl": _read_jsonl, "labels.csv": _read_csv}
    file = next((root / name for name in readers if (root / name).is_file()), None)
    if file is None:
        raise ZerotagError(f"{root} has neither labels.jsonl nor labels.csv; {LAYOUT}")
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ZerotagError(f"{file} is no UTF-8 text (byte {error.start}); save it as UTF-8") from error
    empty = True
    for number, values in readers[file.name](file, lines):
        try:
            yield _Row.model_validate(values)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(map(str, fault["loc"]))
            raise ZerotagError(f"{file}, line {number}: '{where}': {fault['msg'].lower()}; {LAYOUT}") from error
        empty = False
    if empty:
        raise ZerotagError(f"{file} lists no pictures; {LAYOUT}")


def _read_jsonl(file: Path, lines: list[str]) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            raise ZerotagError(f"{file}, line {number} is not JSON ({error.msg}); {LAYOUT}") from error


def _read_csv(file: Path, lines: list[str]) -> Iterator[tuple[int, object]]:
    table = csv.DictReader(lines)
    if not {"path", "labels"} <= set(table.fieldnames or ()):
        raise ZerotagError(f"{file}: the first line must name the columns path and labels; {LAYOUT}")
    for row in table:
        listed = [label.strip() for label in (row["labels"] or "").split(";")]
        yield (
            table.line_num,
            {"path": row["path"], "labels": [label for label in listed if label], "split": row.get("split") or None},
        )


def _labels(root: Path, rows: list[_Row]) -> tuple[str, ...]:
    if (root / "labels.txt").is_file():
        return tuple(read_label_file(root / "labels.txt"))
    labels = sorted({label for row in rows for label in (*row.labels, *(row.rejected or ()))})
    if not labels:
        raise ZerotagError(f"none of the {len(rows)} pictures in {root} has a label")
    return tuple(labels)


def _objects(root: Path, row: _Row) -> tuple[SceneObject, ...]:
    if row.objects is None:
        return ()
    if row.width is None or row.height is None:
        raise ZerotagError(f"{root}: '{row.path}' has objects but no width and height, so their boxes have no scale")
    scale = (row.width, row.height, row.width, row.height)
    found = []
    for thing in row.objects:
        left, top, right, bottom = (value / side for value, side in zip(thing.box, scale, strict=True))
        found.append(SceneObject((left, top, right, bottom), tuple(thing.labels)))
    return tuple(found)


def _drawn_split(path: str) -> str:
    drawn = int.from_bytes(hashlib.blake2b(path.encode(), digest_size=4).digest()) / 2**32
    return TEST if drawn < TEST_SHARE else TRAIN
