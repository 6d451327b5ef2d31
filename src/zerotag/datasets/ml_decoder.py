"""NUS-WIDE as ML-Decoder hands it round: a CSV of pictures with their labels, and a JSON of the benchmark's labels.

``data.csv`` (any name that ends so): path, ``[label, label]``, ``train`` or ``val``, below a line of headings. The JSON
has ``test class``, the unseen labels, and often ``train class``; labels in neither are left out. Pictures lie below the
folder itself or its sub-folder ``images`` or ``Flickr``. A label that a picture does not list is negative. Ridnik et
al., WACV 2023.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from zerotag.datasets.coco_files import has_tables
from zerotag.datasets.label_csv import cells_of
from zerotag.datasets.pictures import TEST, TRAIN, PictureDataset, leaves_folder, on_disk
from zerotag.errors import ZerotagError, first_few
from zerotag.labels import clean_label, read_text
from zerotag.opening import regular

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
    rows = list(_rows(table))
    if not rows:
        raise ZerotagError(f"{table} lists no pictures; {LAYOUT}")
    unseen = list(dict.fromkeys(benchmark[UNSEEN]))
    named = {label for _, labels, _ in rows for label in labels}
    seen = list(dict.fromkeys(benchmark.get(SEEN) or sorted(named - set(unseen))))
    if both := sorted(set(seen) & set(unseen)):
        raise ZerotagError(
            f"{root}: labels that are both seen and unseen: {first_few(both)}; take them out of one list"
        )
    column = {label: c for c, label in enumerate([*seen, *unseen])}
    pictures = next((root / name for name in PICTURE_FOLDERS if (root / name).is_dir()), root)
    there = {path: on_disk(pictures, path) for path, _, _ in rows}
    left_out = {path: "not there" for path, found in there.items() if found is None}
    kept = [(found, labels, split) for path, labels, split in rows if (found := there[path]) is not None]
    if not kept:
        looked_for = pictures / rows[0][0]
        raise ZerotagError(
            f"{pictures} holds none of the {len(rows)} pictures in {table.name}, such as {looked_for}; {LAYOUT}"
        )
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
            content = json.loads(regular(file).read_bytes())
        except (ValueError, RecursionError) as error:
            if has_tables(root):
                continue
            raise ZerotagError(f"{file} is no JSON ({error})") from error
        if isinstance(content, dict) and UNSEEN in content:
            return {side: _listed(file, side, content[side]) for side in (UNSEEN, SEEN) if side in content}
    return None


def _listed(file: Path, side: str, labels: object) -> list[str]:
    if not isinstance(labels, list) or not all(isinstance(label, str) and label.strip() for label in labels):
        raise ZerotagError(f"{file}: '{side}' is not a list of labels; {LAYOUT}")
    return [clean_label(label) for label in labels]


def _rows(table: Path) -> Iterator[tuple[str, list[str], str]]:
    by_line = cells_of(table, read_text(table))
    _, headings = next(by_line, (0, []))
    if len(headings) == 3 and headings[2].strip() in SPLITS:
        raise ZerotagError(f"{table}: its first line is a picture, where headings were expected; {LAYOUT}")
    seen_paths = set()
    for number, cells in by_line:
        where = f"{table}, line {number}"
        if len(cells) != 3 or cells[2].strip() not in SPLITS:
            raise ZerotagError(f"{where}: path, [labels] and train or val were expected; {LAYOUT}")
        path = cells[0].strip().replace("\\", "/")
        if leaves_folder(path) or path.startswith("/"):
            raise ZerotagError(f"{where}: '{path}' leads out of the folder of pictures; {LAYOUT}")
        if path in seen_paths:
            raise ZerotagError(f"{where}: the picture '{path}' is listed more than once")
        seen_paths.add(path)
        labels = [clean_label(label.strip(" '\"")) for label in cells[1].strip(" []").split(",")]
        yield path, [label for label in labels if label], SPLITS[cells[2].strip()]
