"""Tables of labels in a folder of one's own: ``labels.jsonl`` or ``labels.csv``, row by row.

A table that may be read otherwise than it was meant is refused, with the line and the cure.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from zerotag.errors import ZerotagError
from zerotag.labels import BETWEEN_LABELS, clean_label, lines_of, of_cell, read_label_file, read_text

LAYOUT = "its layout is described in the help of: zerotag data"
EXAMPLE = '{"path": "a.jpg", "labels": ["dog"]}'
LONGEST_NUMBER = 1000
DELIMITERS = (",", ";", "\t")
SEPARATOR_LINE = re.compile(r"\"?sep=(.)\"?(\r\n|\n|\r)", re.IGNORECASE)


def _whole(text: str) -> str:
    if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
        raise ValueError("it contains half a character (a lone surrogate)")
    if not text.strip():
        raise ValueError("it is blank")
    return text


Text = Annotated[str, AfterValidator(_whole)]
Label = Annotated[str, AfterValidator(clean_label), AfterValidator(_whole)]


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
    width: Annotated[int, Field(ge=1)] | None = None
    height: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _is_of_one_mind(self) -> Row:
        if both := set(self.labels) & set(self.rejected or ()):
            raise ValueError(f"the label '{min(both)}' is in both labels and rejected")
        return self


def tables_of(root: Path) -> list[Path]:
    """The tables of a folder; the first is the one that is read."""
    return [root / name for name in READERS if (root / name).is_file()]


def read_table(file: Path) -> dict[int, Row]:
    """The rows of a table by the number of their line.

    Raises:
        ZerotagError: the table is no UTF-8 text, lists no pictures, or a line does not hold.
    """
    rows = {}
    for number, values in READERS[file.name](file):
        if not isinstance(values, dict):
            raise ZerotagError(f"{file}, line {number}: {EXAMPLE} was expected; {LAYOUT}")
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
    return rows


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
        names = [name for name, _ in pairs]
        raise ValueError(f"the key '{next(name for name in names if names.count(name) > 1)}' comes twice")
    return values


def _read_csv(file: Path) -> Iterator[tuple[int, object]]:
    text, skipped = read_text(file), 0
    listed = set(read_label_file(file.with_name("labels.txt"))) if file.with_name("labels.txt").is_file() else set()
    if declared := SEPARATOR_LINE.match(text):
        text, skipped = text[declared.end() :], 1
    delimiter, names = _headings(file, text, (declared[1],) if declared else DELIMITERS)
    by_line = cells_of(file, text, delimiter, skipped)
    next(by_line)
    for number, cells in by_line:
        if any(map(str.strip, cells)):
            yield number, _values(f"{file}, line {number}", cells, names, listed)


def cells_of(file: Path, text: str, delimiter: str = ",", skipped: int = 0) -> Iterator[tuple[int, list[str]]]:
    """The rows of CSV that are not empty, with the numbers of their lines.

    Args:
        file: Path of the file, for messages.
        text: Text of the file.
        delimiter: Character between cells.
        skipped: Number of lines of the file before the text.

    Raises:
        ZerotagError: a row cannot be told from the next; the message names its line.
    """
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for cells in table:
            if cells:
                yield table.line_num + skipped, cells
    except csv.Error as error:
        raise ZerotagError(
            f"{file}, line {table.line_num + skipped} cannot be read ({error}); look for a quotation mark too many "
            "or too few"
        ) from error


def _headings(file: Path, text: str, delimiters: tuple[str, ...]) -> tuple[str, list[str]]:
    """What stands between the cells, and the names of the columns."""
    first = next(iter(lines_of(text)))
    for delimiter in delimiters:
        names = [name.strip().casefold() for name in next(csv.reader([first], delimiter=delimiter), [])]
        if {"path", "labels"} <= set(names):
            if twice := next((name for name in ("path", "labels", "split") if names.count(name) > 1), None):
                raise ZerotagError(f"{file}: two columns are named {twice}; leave one, with labels separated by ;")
            return delimiter, names
    raise ZerotagError(f"{file}: the first line must name the columns path and labels, not '{first[:80]}'; {LAYOUT}")


def _values(where: str, cells: list[str], names: list[str], listed: set[str]) -> dict[str, object]:
    cure = "separate labels with ; and put quotation marks around a cell that contains a delimiter"
    if any(map(str.strip, cells[len(names) :])) or len(cells) <= max(names.index("path"), names.index("labels")):
        raise ZerotagError(f"{where} has {len(cells)} cells under {len(names)} headings; {cure}")
    row = dict(zip(names, cells, strict=False))
    split = row.get("split", "").strip() or None
    return {"path": of_cell(row["path"]), "labels": _labels(where, row["labels"], listed), "split": split}


def _labels(where: str, cell: str, listed: set[str]) -> list[str]:
    if len(lines_of(cell.strip())) > 1:
        raise ZerotagError(f"{where}: a cell of labels contains a line break; separate labels with ;")
    if re.fullmatch(r"\s*\[.*\]\s*", cell):
        raise ZerotagError(f"{where}: the labels '{cell}' look like a list in brackets; write them as red;blue")
    labels = [label for label in (clean_label(of_cell(part.strip())) for part in cell.split(";")) if label]
    odd = next((sign for sign in BETWEEN_LABELS if sign in cell.strip()), None)
    if odd and ";" not in cell and not set(labels) <= listed:
        raise ZerotagError(
            f"{where}: the label '{cell}' contains {BETWEEN_LABELS[odd]}; separate labels with ; and end the cell with "
            "; if it is one label"
        )
    return labels


READERS = {"labels.jsonl": _read_jsonl, "labels.csv": _read_csv}
