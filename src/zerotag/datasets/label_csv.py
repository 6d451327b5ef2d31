"""Labels in CSV, as spreadsheets and programs write it, row by row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

from zerotag.errors import ZerotagError
from zerotag.labels import BETWEEN_LABELS, clean_label, half_quoted, lines_of, of_cell, read_text, unquoted

DELIMITERS = (",", ";", "\t")
SEPARATOR_LINE = re.compile(r"\"?sep=(.)\"?(\r\n|\n|\r)", re.IGNORECASE)
COLUMNS = ("path", "labels", "split", "rejected")
NEEDED = {"path", "labels"}


def rows_of(file: Path, listed: set[str], layout: str) -> Iterator[tuple[int, dict[str, object]]]:
    """The rows of a table with the numbers of their lines; of columns that are not read the names alone.

    Args:
        file: Path of the table.
        listed: Labels that ``labels.txt`` lists.
        layout: Hint at the end of messages on the first line.

    Raises:
        ZerotagError: the table has no such columns, or a row may be read otherwise than it was meant.
    """
    text, skipped = read_text(file), 0
    if declared := SEPARATOR_LINE.match(text):
        text, skipped = text[declared.end() :], 1
    delimiter, names = _headings(file, text, (declared[1],) if declared else DELIMITERS, layout)
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
    table = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    try:
        for cells in table:
            if cells:
                yield table.line_num + skipped, cells
    except csv.Error as error:
        raise ZerotagError(
            f"{file}, line {table.line_num + skipped} cannot be read ({error}); look for a quotation mark too many "
            "or too few"
        ) from error


def _headings(file: Path, text: str, delimiters: tuple[str, ...], layout: str) -> tuple[str, list[str]]:
    """What stands between the cells, and the names of the columns."""
    first = next(iter(lines_of(text)))
    for delimiter in delimiters:
        cells = next(csv.reader([first], delimiter=delimiter, skipinitialspace=True), [])
        names = [name.strip() for name in cells]
        names = [name.casefold() if name.casefold() in COLUMNS else name for name in names]
        if set(names) >= NEEDED:
            if twice := next((name for name in COLUMNS if names.count(name) > 1), None):
                raise ZerotagError(f"{file}: two columns are named {twice}; leave one, with labels separated by ;")
            return delimiter, names
    raise ZerotagError(f"{file}: the first line must name the columns path and labels, not '{first[:80]}'; {layout}")


def _values(where: str, cells: list[str], names: list[str], listed: set[str]) -> dict[str, object]:
    cure = "separate labels with ; and put quotation marks around a cell that contains a delimiter"
    if any(map(str.strip, cells[len(names) :])) or len(cells) <= max(names.index("path"), names.index("labels")):
        raise ZerotagError(f"{where} has {len(cells)} cells under {len(names)} headings; {cure}")
    if below := next((cell for cell, name in zip(cells, names, strict=False) if cell.strip() and not name), None):
        raise ZerotagError(f"{where} has the cell '{below}' in a column without a heading; {cure}")
    row = dict(zip(names, cells, strict=False))
    values: dict[str, object] = {name: "" for name in names if name and name not in COLUMNS}
    values |= {"path": of_cell(row["path"]), "split": row.get("split", "").strip() or None}
    values["labels"] = _labels(where, row["labels"], listed)
    if "rejected" in names:
        values["rejected"] = _labels(where, row.get("rejected", ""), listed)
    return values


def _labels(where: str, cell: str, listed: set[str]) -> list[str]:
    if len(lines_of(cell.strip())) > 1:
        raise ZerotagError(f"{where}: a cell of labels contains a line break; separate labels with ;")
    if re.fullmatch(r"\s*\[.*\]\s*", cell):
        raise ZerotagError(f"{where}: the labels '{cell}' look like a list in brackets; write them as red;blue")
    whole = unquoted(clean_label(cell))
    parts = [clean_label(of_cell(part.strip())) for part in whole.split(";")]
    parts = [part for part in parts if part]
    if torn := next((part for part in parts if part not in listed and half_quoted(part)), None):
        raise ZerotagError(
            f"{where}: the label '{torn}' has a quotation mark on one side; take it away, or list the label in "
            "labels.txt"
        )
    labels = [unquoted(part) for part in parts]
    odd = next((sign for sign in BETWEEN_LABELS if sign in cell.strip()), None)
    is_plain = ";" in cell or set(labels) <= listed or labels != parts or whole != clean_label(cell)
    if odd and not is_plain:
        raise ZerotagError(
            f"{where}: the label '{cell}' contains {BETWEEN_LABELS[odd]}; separate labels with ; and end the cell with "
            "; if it is one label"
        )
    return labels
