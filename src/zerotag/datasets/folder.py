"""Pictures of one's own: a folder with a table of labels.

``labels.jsonl`` holds a line a picture, such as ``{"path": "a.jpg", "labels": ["dog", "beach"], "split": "train"}``;
``labels.csv`` the columns ``path``, ``labels`` (separated by ``;``) and, if wanted, ``split`` and ``rejected``; see
:mod:`zerotag.datasets.label_table`. Without splits one picture in five is taken for testing, by its path.
``labels.txt``, if it is there, lists the labels that may come, one a line. A line of ``labels.jsonl`` may hold
``objects``, a list of ``{"box": [left, top, right, bottom], "labels": […]}`` in pixels, with ``width`` and ``height``
of the picture beside them; their labels are labels of the picture. A label that a picture does not list is taken as
negative; where a line holds ``rejected``, a list of labels, these alone are negative and all others unknown.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import numpy as np

from zerotag.datasets.boxes import Boxes
from zerotag.datasets.label_table import LAYOUT, LISTER, Row, file_named, read_table, tables_of
from zerotag.datasets.pictures import TEST, TRAIN, PictureDataset, SceneObject, leaves_folder, on_disk
from zerotag.errors import ZerotagError, first_few
from zerotag.labels import read_label_file

TEST_SHARE = 0.2
LONGEST_SHOWN = 120
DATA_SUFFIXES = (".json", ".jsonl", ".csv", ".tsv", ".txt", ".xml", ".yaml", ".xlsx", ".ods", ".zip", ".gz", ".parquet")


def read_folder(root: Path) -> PictureDataset:
    """Read a folder of pictures with its table of labels.

    Raises:
        ZerotagError: no such folder or table, a line that does not hold, a picture that is not there or comes twice, a
            label that ``labels.txt`` does not list, or no labels at all.
    """
    if not root.is_dir():
        raise ZerotagError(f"there is no folder {root}")
    if not (tables := tables_of(root)):
        seen = "" if not (others := data_files(root)) else f", but {first_few(others)}"
        raise ZerotagError(f"{root} has neither labels.jsonl nor labels.csv{seen}; {LAYOUT}")
    table = read_table(tables[0])
    paths, rows = _paths(root, tables[0], table.rows), list(table.rows.values())
    labels = _labels(root, rows)
    column = {label: c for c, label in enumerate(labels)}
    annotations = np.full((len(rows), len(labels)), -1, np.int8)
    for i, (line, row) in enumerate(table.rows.items()):
        if row.rejected is not None:
            annotations[i] = 0
        for label, verdict in [*((one, -1) for one in row.rejected or ()), *((one, 1) for one in row.given)]:
            if label not in column:
                raise ZerotagError(
                    f"{tables[0]}, line {line}: '{row.path}' has the label '{label}', which {LISTER} does not list"
                )
            annotations[i, column[label]] = verdict
    annotations.flags.writeable = False
    boxes = Boxes()
    objects = None if all(row.objects is None for row in rows) else tuple(_objects(root, row, boxes) for row in rows)
    splits = tuple(row.split or drawn_split(path) for row, path in zip(rows, paths, strict=True))
    unread = (f"{file.name} is not read, since {tables[0].name} lies beside it" for file in tables[1:])
    notes = (*unread, *table.notes, *boxes.notes(tables[0].name))
    return PictureDataset(root, paths, splits, labels, annotations, objects, notes=notes)


def _paths(root: Path, table: Path, rows: dict[int, Row]) -> tuple[str, ...]:
    """Where the pictures of the rows are: in the folder, or elsewhere by a full path."""
    found: list[str] = []
    line_of: dict[str, int] = {}
    missing: list[int] = []
    for line, row in rows.items():
        shown = _shown(row.path)
        if leaves_folder(row.path):
            raise ZerotagError(
                f"{table}, line {line}: '{shown}' leads out of the folder; write the picture's full path"
            )
        if (path := on_disk(root, row.path)) is None:
            missing.append(line)
        elif (first := line_of.setdefault(os.path.realpath(root / path), line)) != line:
            raise ZerotagError(
                f"{table}, line {line}: the picture '{shown}' is listed more than once, first on line {first}; "
                "put its labels on one line"
            )
        else:
            found.append(path)
    if missing:
        path = rows[missing[0]].path
        hint = " (a path of Windows)" if re.match(r"[A-Za-z]:[\\/]", path) else ""
        raise ZerotagError(
            f"{table}: {len(missing)} of {len(rows)} pictures are not there, such as '{_shown(path)}'{hint} on line "
            f"{missing[0]}, which was looked for in {root}"
        )
    return tuple(found)


def data_files(root: Path) -> list[str]:
    """Files of a folder, and of the folders in it, that tables or archives of tables may be."""
    places = [root, *(place for place in sorted(root.iterdir()) if place.is_dir() and os.access(place, os.R_OK))]
    files = (file for place in places for file in sorted(place.iterdir()))
    return [str(file.relative_to(root)) for file in files if file.suffix.casefold() in DATA_SUFFIXES and file.is_file()]


def _shown(path: str) -> str:
    return path if len(path) <= LONGEST_SHOWN else f"{path[:LONGEST_SHOWN]}…"


def _labels(root: Path, rows: list[Row]) -> tuple[str, ...]:
    if (lister := file_named(root, LISTER)) is not None:
        return tuple(read_label_file(lister))
    labels = sorted({label for row in rows for label in (*row.given, *(row.rejected or ()))})
    if not labels:
        raise ZerotagError(f"none of the {len(rows)} pictures in {root} has a label")
    return tuple(labels)


def _objects(root: Path, row: Row, boxes: Boxes) -> tuple[SceneObject, ...]:
    if row.objects is None:
        return ()
    if row.width is None or row.height is None:
        raise ZerotagError(f"{root}: '{row.path}' has objects but no width and height, so their boxes have no scale")
    shares = ((boxes.shares(thing.box, float(row.width), float(row.height)), thing) for thing in row.objects)
    return tuple(SceneObject(box, tuple(thing.labels)) for box, thing in shares if box is not None)


def drawn_split(path: str) -> str:
    """The split of a picture for which none is named: one in five is taken for testing, by its path."""
    drawn = int.from_bytes(hashlib.blake2b(path.encode(), digest_size=4).digest()) / 2**32
    return TEST if drawn < TEST_SHARE else TRAIN
