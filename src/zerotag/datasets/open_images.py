"""Open Images v4: image-level labels that people verified, for 7,186 seen and 400 unseen labels.

Layout, in the folder or its sub-folder ``2018_04``: ``{train,test}-annotations-human-imagelabels.csv`` (ImageID,
Source, LabelName, Confidence), ``classes-trainable.txt`` (the 7,186 seen labels), ``unseen_labels.pkl`` (2,594
candidates), ``top_400_unseen.csv`` (numbers of the 400 among them, in the first column), ``class-descriptions.csv``
(names). Pictures are ``<ImageID>.jpg`` in ``train`` and ``test``, in the folder itself or in ``image_data``. Kuznetsova
et al., IJCV 2020.

Confidence 1 is positive, 0 negative, and a label that is not listed is unknown: nearly all are, so annotations are
kept sparse. Labels have their English names; where two share one, their identifiers stand behind it. Needs pyarrow.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from zerotag.datasets.label_csv import cells_of
from zerotag.datasets.pictures import TEST, TRAIN, PictureDataset
from zerotag.datasets.sparse import SparseAnnotations
from zerotag.errors import MissingPackageError, ZerotagError, first_few
from zerotag.labels import clean_label, lines_of, read_text
from zerotag.pickles import read_pickle

NUM_SEEN, NUM_UNSEEN = 7186, 400
SEEN, CANDIDATES, CHOSEN, NAMES = (
    "classes-trainable.txt",
    "unseen_labels.pkl",
    "top_400_unseen.csv",
    "class-descriptions.csv",
)
TABLE = "{}-annotations-human-imagelabels.csv"
LONGEST_NUMBER = 10
COLUMNS = ["ImageID", "LabelName", "Confidence"]
LAYOUT = "the layout is described in docs/formats.md"


def recognises(root: Path) -> bool:
    """Whether the folder looks like this layout."""
    return (home_of(root) / SEEN).is_file()


def read(root: Path) -> PictureDataset:
    """Read the layout; of the tables a few megabytes are in memory at a time, and what is known of the labels.

    Raises:
        MissingPackageError: pyarrow is not installed.
        ZerotagError: a file is missing or of another form, or no picture is there.
    """
    home = home_of(root)
    seen, unseen = label_identifiers(home)
    names = label_names(home, [*seen, *unseen])
    paths: list[str] = []
    splits: list[str] = []
    left_out: dict[str, str] = {}
    known: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for split in (TRAIN, TEST):
        file = home / TABLE.format(split)
        if not file.is_file():
            continue
        folder = next((place for place in (f"image_data/{split}", split) if (root / place).is_dir()), split)
        there = {picture.name for picture in (root / folder).iterdir()} if (root / folder).is_dir() else set()
        images, entries = _annotations(file, [*seen, *unseen])
        kept = np.array([f"{image}.jpg" in there for image in images])
        left_out |= {f"{folder}/{image}.jpg": "not there" for image, has in zip(images, kept, strict=True) if not has}
        number = np.cumsum(kept) - 1 + len(paths)
        of_kept = kept[entries[0]]
        known.append((number[entries[0][of_kept]], entries[1][of_kept], entries[2][of_kept]))
        paths += [f"{folder}/{image}.jpg" for image, has in zip(images, kept, strict=True) if has]
        splits += [split] * int(kept.sum())
    if not paths:
        looked_for = root / next(iter(left_out)) if left_out else home / TABLE.format(TRAIN)
        raise ZerotagError(
            f"{root} holds none of the {len(left_out)} pictures listed in {TABLE.format('{train,test}')}, such as "
            f"{looked_for}; {LAYOUT}"
        )
    rows, columns, values = (np.concatenate(parts) for parts in zip(*known, strict=True))
    return PictureDataset(
        root,
        tuple(paths),
        tuple(splits),
        tuple(names),
        SparseAnnotations(rows, columns, values, (len(paths), len(names))),
        unseen=tuple(names[len(seen) :]),
        left_out=left_out,
    )


def label_identifiers(home: Path) -> tuple[list[str], list[str]]:
    """Identifiers, such as /m/011k07, of the seen and of the unseen labels.

    Raises:
        ZerotagError: a list is missing, damaged, or the lists do not fit together.
    """
    seen = [line.strip() for line in lines_of(read_text(home / SEEN)) if line.strip()]
    candidates = _candidates(home)
    unseen = [candidates[number] for number in chosen_candidates(home)]
    for name, labels in ((SEEN, seen), (CHOSEN, unseen), ("the seen and unseen labels", seen + unseen)):
        if twice := [label for label, count in Counter(labels).items() if count > 1]:
            raise ZerotagError(f"{home}: labels that come more than once in {name}: {first_few(twice)}")
    return seen, unseen


def chosen_candidates(home: Path) -> Int[np.ndarray, " u"]:
    """Which of the candidates are the unseen labels.

    Raises:
        ZerotagError: a list is missing, or they are no numbers of candidates.
    """
    number = number_of_candidates(home)
    rows = [row[0].strip() for row in _table(home / CHOSEN)]
    if not all(row.isdecimal() and len(row) < LONGEST_NUMBER and int(row) < number for row in rows):
        raise ZerotagError(
            f"{home / CHOSEN}: its first column must hold numbers below {number}, the count of {CANDIDATES}"
        )
    return np.array([int(row) for row in rows])


def number_of_candidates(home: Path) -> int:
    """How many labels the unseen ones were chosen from.

    Raises:
        ZerotagError: their list is missing or damaged.
    """
    return len(_candidates(home))


def list_doubts(root: Path) -> list[str]:
    """What is odd about the lists: another number of labels than in print."""
    seen, unseen = label_identifiers(home_of(root))
    expected = (("seen", seen, NUM_SEEN), ("unseen", unseen, NUM_UNSEEN))
    return [f"there are {len(of)} {side} labels; in print they are {n:,}" for side, of, n in expected if len(of) != n]


def home_of(root: Path) -> Path:
    """The folder with the lists and tables."""
    return root / "2018_04" if (root / "2018_04" / SEEN).is_file() else root


def _candidates(home: Path) -> list[str]:
    """Identifiers of the labels that the unseen ones were chosen from; older files have them as bytes."""
    content = read_pickle(home / CANDIDATES)
    listed = content.tolist() if isinstance(content, np.ndarray) else content
    if not isinstance(listed, list | tuple) or not all(isinstance(label, str | bytes) for label in listed):
        raise ZerotagError(f"{home / CANDIDATES} must hold a list of the identifiers of labels; {LAYOUT}")
    return [label.decode("latin-1") if isinstance(label, bytes) else str(label) for label in listed]


def _table(file: Path) -> list[list[str]]:
    return [cells for _, cells in cells_of(file, read_text(file))]


def label_names(home: Path, identifiers: list[str]) -> list[str]:
    """English names; those that two labels share with the identifiers behind them.

    Raises:
        ZerotagError: the list of names is missing, or lacks a label.
    """
    name_of = {row[0]: clean_label(row[1]) for row in _table(home / NAMES) if len(row) == 2}
    if nameless := [label for label in identifiers if label not in name_of]:
        raise ZerotagError(f"{home / NAMES} has no name for {len(nameless)} labels: {first_few(nameless)}; {LAYOUT}")
    count = Counter(name_of[label] for label in identifiers)
    return [name_of[label] if count[name_of[label]] == 1 else f"{name_of[label]} ({label})" for label in identifiers]


def _annotations(file: Path, labels: list[str]) -> tuple[list[str], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Pictures of a table in the order in which they come, and rows, columns and values of what is known of them."""
    try:
        from pyarrow import ArrowInvalid, array
        from pyarrow import csv as arrow_csv
        from pyarrow.compute import index_in
    except ImportError as error:
        raise MissingPackageError("pyarrow", "formats", str(file)) from error
    number_of: dict[str, int] = {}
    parts: list[tuple[np.ndarray, ...]] = []
    # a number that is an identifier would lose the zeros before it
    kinds = {"ImageID": "string", "LabelName": "string", "Confidence": "float32"}
    options = arrow_csv.ConvertOptions(include_columns=COLUMNS, column_types=kinds)
    wanted: Any = array(labels)
    try:
        for batch in arrow_csv.open_csv(file, convert_options=options):
            image = batch.column(0).dictionary_encode()
            numbers = np.array([number_of.setdefault(name, len(number_of)) for name in image.dictionary.to_pylist()])
            column = index_in(batch.column(1), value_set=wanted).fill_null(-1).to_numpy(zero_copy_only=False)
            confidence = batch.column(2).to_numpy(zero_copy_only=False)
            if wrong := sorted(set(np.unique(confidence).tolist()) - {0.0, 1.0}):
                raise ZerotagError(f"{file} has a confidence of {wrong[0]:g}; labels that people verified have 0 or 1")
            of_wanted = column >= 0
            row = numbers[image.indices.to_numpy(zero_copy_only=False)]
            parts.append((row[of_wanted], column[of_wanted], (2 * confidence - 1)[of_wanted].astype(np.int8)))
    except (ArrowInvalid, KeyError) as error:
        raise ZerotagError(f"{file} is no table of {', '.join(COLUMNS)} ({error}); {LAYOUT}") from error
    if not parts:
        raise ZerotagError(f"{file} lists no pictures; {LAYOUT}")
    rows, columns, values = (np.concatenate(column) for column in zip(*parts, strict=True))
    # of a label that was verified more than once the first verdict counts
    _, first = np.unique(rows.astype(np.int64) * len(labels) + columns, return_index=True)
    return list(number_of), (rows[first], columns[first], values[first])
