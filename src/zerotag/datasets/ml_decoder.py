"""NUS-WIDE as ML-Decoder hands it round: a CSV of pictures with their labels, and a JSON of the benchmark's labels.

``data.csv`` (any name that ends so): path, ``[label, label]``, ``train`` or ``val``, below a line of headings. The JSON
has ``test class``, the unseen labels, and often ``train class``; labels in neither are left out. Pictures lie below the
folder itself or its sub-folder ``images`` or ``Flickr``. A label that a picture does not list is negative. Ridnik et
al., WACV 2023.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np

from zerotag.datasets.pictures import TEST, TRAIN, PictureDataset
from zerotag.errors import ZerotagError, first_few

SPLITS = {"train": TRAIN, "val": TEST, "test": TEST}
PICTURE_FOLDERS = ("images", "Flickr")
UNSEEN, SEEN = "test class", "train class"
LAYOUT = "the layout is described in docs/formats.md"


def recognises(root: Path) -> bool:
    """Whether the folder holds a table, and a JSON that lists unseen labels."""
    return root.is_dir() and bool(list(root.glob("*data.csv"))) and _benchmark(root) is not None


def read(root: Path) -> PictureDataset:
    """Read the layout.

    Raises:
        ZerotagError: there are several tables, a line does not hold, a picture comes twice, or no label is seen.
    """
    table, *others = sorted(root.glob("*data.csv"))
    if others:
        raise ZerotagError(f"{root} holds {table.name} and {others[0].name}; leave the one that is meant")
    benchmark = _benchmark(root)
    assert benchmark is not None
    rows = _rows(table)
    unseen = list(dict.fromkeys(benchmark[UNSEEN]))
    named = {label for _, labels, _ in rows for label in labels}
    seen = list(dict.fromkeys(benchmark.get(SEEN) or sorted(named - set(unseen))))
    if both := sorted(set(seen) & set(unseen)):
        raise ZerotagError(
            f"{root}: labels that are both seen and unseen: {first_few(both)}; take them out of one list"
        )
    column = {label: c for c, label in enumerate([*seen, *unseen])}
    pictures = next((root / name for name in PICTURE_FOLDERS if (root / name).is_dir()), root)
    left_out = {path: "not there" for path, _, _ in rows if not (pictures / path).is_file()}
    kept = [row for row in rows if row[0] not in left_out]
    if not kept:
        raise ZerotagError(f"{pictures} holds none of the {len(rows)} pictures in {table.name}; {LAYOUT}")
    annotations = np.full((len(kept), len(column)), -1, np.int8)
    for i, (_, labels, _) in enumerate(kept):
        annotations[i, [column[label] for label in labels if label in column]] = 1
    return PictureDataset(
        pictures,
        tuple(path for path, _, _ in kept),
        tuple(split for _, _, split in kept),
        tuple(column),
        annotations,
        unseen=tuple(unseen),
        left_out=left_out,
    )


def _benchmark(root: Path) -> dict[str, list[str]] | None:
    for file in sorted(root.glob("*.json")):
        try:
            content = json.loads(file.read_bytes())
        except ValueError as error:
            raise ZerotagError(f"{file} is no JSON ({error})") from error
        if isinstance(content, dict) and UNSEEN in content:
            return content
    return None


def _rows(table: Path) -> list[tuple[str, list[str], str]]:
    try:
        lines = table.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ZerotagError(f"{table} is no UTF-8 text (byte {error.start}); save it as UTF-8") from error
    rows, seen_paths = [], set()
    reader = csv.reader(lines)
    next(reader, None)
    for cells in reader:
        if not cells:
            continue
        if len(cells) != 3 or cells[2].strip() not in SPLITS:
            raise ZerotagError(
                f"{table}, line {reader.line_num}: path, [labels] and train or val were expected; {LAYOUT}"
            )
        path = cells[0].strip().replace("\\", "/")
        if path in seen_paths:
            raise ZerotagError(f"{table}, line {reader.line_num}: the picture '{path}' is listed more than once")
        seen_paths.add(path)
        labels = [label.strip(" '\"") for label in cells[1].strip(" []").split(",")]
        rows.append((path, [label for label in labels if label], SPLITS[cells[2].strip()]))
    if not rows:
        raise ZerotagError(f"{table} lists no pictures; {LAYOUT}")
    return rows
