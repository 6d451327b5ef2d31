"""Pictures of one's own: a folder with a table of labels.

``labels.jsonl`` holds a line a picture, such as ``{"path": "a.jpg", "labels": ["dog", "beach"], "split": "train"}``;
``labels.csv`` the columns ``path``, ``labels`` (separated by ``;``) and, if wanted, ``split``; see
:mod:`zerotag.datasets.label_table`. Without splits one
picture in five is taken for testing, by its path. ``labels.txt``, if it is there, lists the labels that may come, one a
line. A line of ``labels.jsonl`` may hold ``objects``, a list of ``{"box": [left, top, right, bottom], "labels": […]}``
in pixels, with ``width`` and ``height`` of the picture beside them. A label that a picture does not list is taken as
negative; where a line holds ``rejected``, a list of labels, these alone are negative and all others unknown.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np

from zerotag.datasets.label_table import LAYOUT, Row, read_table, tables_of
from zerotag.datasets.pictures import TEST, TRAIN, PictureDataset, SceneObject, leaves_folder, on_disk
from zerotag.errors import ZerotagError
from zerotag.labels import read_label_file

TEST_SHARE = 0.2
LONGEST_SHOWN = 120


def read_folder(root: Path) -> PictureDataset:
    """Read a folder of pictures with its table of labels.

    Raises:
        ZerotagError: no such folder or table, a line that does not hold, a picture that is not there or comes twice, a
            label that ``labels.txt`` does not list, or no labels at all.
    """
    if not root.is_dir():
        raise ZerotagError(f"there is no folder {root}")
    if not (tables := tables_of(root)):
        raise ZerotagError(f"{root} has neither labels.jsonl nor labels.csv; {LAYOUT}")
    by_line = read_table(tables[0])
    paths, rows = _paths(root, tables[0], by_line), list(by_line.values())
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
    splits = tuple(row.split or drawn_split(path) for row, path in zip(rows, paths, strict=True))
    notes = tuple(f"{file.name} is not read, since {tables[0].name} lies beside it" for file in tables[1:])
    return PictureDataset(root, paths, splits, labels, annotations, objects, notes=notes)


def _paths(root: Path, table: Path, rows: dict[int, Row]) -> tuple[str, ...]:
    """Where the pictures of the rows are: in the folder, or elsewhere by a full path."""
    found: dict[str, int] = {}
    missing: list[int] = []
    for line, row in rows.items():
        shown = _shown(row.path)
        if leaves_folder(row.path):
            raise ZerotagError(
                f"{table}, line {line}: '{shown}' leads out of the folder; write the picture's full path"
            )
        if (path := on_disk(root, row.path)) is None:
            missing.append(line)
        elif path in found:
            raise ZerotagError(
                f"{table}, line {line}: the picture '{shown}' is listed more than once, first on line {found[path]}; "
                "put its labels on one line"
            )
        else:
            found[path] = line
    if missing:
        path = rows[missing[0]].path
        hint = " (a path of Windows)" if re.match(r"[A-Za-z]:[\\/]", path) else ""
        raise ZerotagError(
            f"{table}: {len(missing)} of {len(rows)} pictures are not there, such as '{_shown(path)}'{hint} on line "
            f"{missing[0]}, which was looked for in {root}"
        )
    return tuple(found)


def _shown(path: str) -> str:
    return path if len(path) <= LONGEST_SHOWN else f"{path[:LONGEST_SHOWN]}…"


def _labels(root: Path, rows: list[Row]) -> tuple[str, ...]:
    if (root / "labels.txt").is_file():
        return tuple(read_label_file(root / "labels.txt"))
    labels = sorted({label for row in rows for label in (*row.labels, *(row.rejected or ()))})
    if not labels:
        raise ZerotagError(f"none of the {len(rows)} pictures in {root} has a label")
    return tuple(labels)


def _objects(root: Path, row: Row) -> tuple[SceneObject, ...]:
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


def drawn_split(path: str) -> str:
    """The split of a picture for which none is named: one in five is taken for testing, by its path."""
    drawn = int.from_bytes(hashlib.blake2b(path.encode(), digest_size=4).digest()) / 2**32
    return TEST if drawn < TEST_SHARE else TRAIN
