"""Tables of labels in a folder of one's own: ``labels.jsonl`` or ``labels.csv``, row by row.

A table that may be read otherwise than it was meant is refused, with the line and the cure.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from zerotag.datasets.label_csv import rows_of
from zerotag.errors import ZerotagError, first_few, shortened
from zerotag.labels import LONGEST_LABEL, clean_label, lines_of, read_label_file, read_text

LAYOUT = "its layout is described in the help of: zerotag data"
EXAMPLE = '{"path": "a.jpg", "labels": ["dog"]}'
LISTER = "labels.txt"
LONGEST_NUMBER = 1000
LARGEST_SIDE = 2**31
MEANT = {"subset": "split", "partition": "split", "fold": "split", "negative": "rejected", "negatives": "rejected"}
MEANT |= {"boxes": "objects", "bboxes": "objects", "annotations": "objects"}
NEAR = 0.75
NOTHING = {"na", "n/a", "#n/a", "nan", "null", "none", "\\n"}  # what R, SQL, pandas and spreadsheets write


def _whole(text: str) -> str:
    if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError("it contains half a character (a lone surrogate)")
    if not text.strip():
        raise ValueError("it is blank")
    return text


def _short(text: str) -> str:
    if len(text) > LONGEST_LABEL:
        raise ValueError(f"it has {len(text):,} characters; a label has at most {LONGEST_LABEL:,}")
    return text


Text = Annotated[str, AfterValidator(_whole)]
Label = Annotated[str, AfterValidator(_short), AfterValidator(clean_label), AfterValidator(_whole)]


class Thing(BaseModel):
    """An object in a picture: its box in pixels, and what it is."""

    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat, FiniteFloat]
    labels: list[Label]


class Row(BaseModel):
    """A picture with its labels."""

    model_config = ConfigDict(extra="ignore")

    path: Text
    labels: list[Label]
    split: Literal["train", "test"] | None = None
    rejected: list[Label] | None = None
    objects: list[Thing] | None = None
    width: Annotated[int, Field(ge=1, le=LARGEST_SIDE)] | None = None
    height: Annotated[int, Field(ge=1, le=LARGEST_SIDE)] | None = None

    @model_validator(mode="after")
    def _is_of_one_mind(self) -> Row:
        for where, labels in (("labels", self.labels), ("objects", self.labels_of_objects)):
            if both := set(labels) & set(self.rejected or ()):
                raise ValueError(f"the label '{min(both)}' is in both {where} and rejected")
        return self

    @property
    def labels_of_objects(self) -> list[str]:
        """Labels that a box of the picture has."""
        return [label for thing in self.objects or () for label in thing.labels]

    @property
    def given(self) -> list[str]:
        """Labels that the picture has, by itself or in a box."""
        return list(dict.fromkeys([*self.labels, *self.labels_of_objects]))


@dataclass(frozen=True)
class Table:
    """What a table says.

    Attributes:
        rows: pictures by the number of their line.
        notes: what is odd, a sentence each.
    """

    rows: dict[int, Row]
    notes: tuple[str, ...]


def file_named(folder: Path, name: str) -> Path | None:
    """The file of a folder with this name, in any case where none has it exactly."""
    if (folder / name).is_file() or not folder.is_dir():
        return folder / name if (folder / name).is_file() else None
    alike = sorted(file for file in folder.iterdir() if file.name.casefold() == name)
    return next((file for file in alike if file.is_file()), None)


def tables_of(root: Path) -> list[Path]:
    """The tables of a folder; the first is the one that is read."""
    return [file for name in READERS if (file := file_named(root, name)) is not None]


def read_table(file: Path) -> Table:
    """The rows of a table, and what is odd about them.

    Raises:
        ZerotagError: the table is no UTF-8 text, lists no pictures, or a line does not hold.
    """
    rows: dict[int, Row] = {}
    unread: Counter[str] = Counter()
    for number, values in READERS[file.name.casefold()](file):
        if not isinstance(values, dict):
            raise ZerotagError(f"{file}, line {number}: {EXAMPLE} was expected; {LAYOUT}")
        unread.update(values.keys() - Row.model_fields.keys())
        try:
            rows[number] = Row.model_validate(values)
        except ValidationError as error:
            fault = error.errors()[0]
            where = f"'{'.'.join(map(str, fault['loc']))}': " if fault["loc"] else ""
            own = fault["type"] == "value_error"
            reason = fault["msg"].removeprefix("Value error, ") if own else fault["msg"].lower()
            raise ZerotagError(f"{file}, line {number}: {where}{reason}; {LAYOUT}") from error
    if not rows:
        raise ZerotagError(f"{file} lists no pictures; {LAYOUT}")
    return Table(rows, (*_notes_on_keys(file, unread), *_notes_on_nothing(file, list(rows.values()))))


def _notes_on_keys(file: Path, unread: Counter[str]) -> list[str]:
    """Columns that are not read, and keys that are likely meant as one that is."""
    is_csv = file.suffix.casefold() == ".csv"
    meant = {key: _meant(key) for key in unread}
    notes = [
        f"{file.name}: the {'column' if is_csv else 'key'} '{key}' is not read; was '{name}' meant?"
        for key, name in meant.items()
        if name
    ]
    if is_csv and (others := [key for key, name in meant.items() if not name]):
        notes.append(f"{file.name}: columns that are not read: {first_few(sorted(others))}")
    return notes


def _meant(key: str) -> str | None:
    plain = re.sub("[^a-z]", "", key[:LONGEST_LABEL].casefold())
    near = get_close_matches(plain, Row.model_fields, n=1, cutoff=NEAR)
    return MEANT.get(plain) or next(iter(near), None)


def _notes_on_nothing(file: Path, rows: list[Row]) -> list[str]:
    """Texts by which programs say that a cell is empty, where they are all that a picture is labelled with."""
    alone = [labels[0] for row in rows for labels in (row.labels, row.rejected or []) if len(labels) == 1]
    count = Counter(label for label in alone if label.casefold() in NOTHING)
    return [
        f"{file.name}: '{label}' is the only label of {number} pictures; leave it out if it stands for none"
        for label, number in sorted(count.items())
    ]


def _read_jsonl(file: Path) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(lines_of(read_text(file)), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line, object_pairs_hook=_once, parse_int=_int)
        except json.JSONDecodeError as error:
            raise ZerotagError(f"{file}, line {number} is not JSON ({error.msg}); {LAYOUT}") from error
        except RecursionError as error:
            raise ZerotagError(f"{file}, line {number} is nested too deep; {LAYOUT}") from error
        except ValueError as error:
            raise ZerotagError(f"{file}, line {number} cannot be read ({error}); {LAYOUT}") from error


def _int(digits: str) -> int:
    if len(digits) > LONGEST_NUMBER:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        count = Counter(name for name, _ in pairs)
        raise ValueError(f"the key '{shortened(next(name for name in count if count[name] > 1))}' comes twice")
    return values


def _read_csv(file: Path) -> Iterator[tuple[int, object]]:
    lister = file_named(file.parent, LISTER)
    return rows_of(file, set() if lister is None else set(read_label_file(lister)), LAYOUT)


READERS = {"labels.jsonl": _read_jsonl, "labels.csv": _read_csv}
