"""What all commands share: the application, its exit statuses, and how it prints.

Names of files, labels and other text of people's own are printed by these functions alone; they escape what a terminal
would obey.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBars
from rich.text import Text

from zerotag.errors import ZerotagError, shown
from zerotag.progress import Progress


class Status(IntEnum):
    """Exit statuses, as EXIT_STATUSES tells them."""

    GOOD = 0
    FAILED = 1
    USAGE = 2
    SOME_FAILED = 3
    STOPPED = 130


EXIT_STATUSES = (
    "Exit status: 0 when all went well; 1 when it could not be done, or when every picture or every XMP file failed; 2 "
    "when the command was written wrongly; 3 when some pictures, folders or files failed and the rest was done; 130 "
    "when it was stopped with Ctrl-C."
)

NARROWEST = 40

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False, epilog=EXIT_STATUSES
)
data_app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
labels_app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(data_app, name="data")
app.add_typer(labels_app, name="labels")
notes = Console(stderr=True, emoji=False, markup=False, highlight=False)

ModelName = Annotated[
    str,
    typer.Argument(metavar="RUN", help="Folder of a finished run, conse-imagenet, or open-clip:ARCHITECTURE:WEIGHTS."),
]
CatalogueOrFolder = Annotated[Path, typer.Argument(metavar="CATALOGUE", help="A tagged folder, or its catalogue.")]
Protocol = Annotated[str, typer.Option(help="paper, lesa, biam, biam-open-images or sdl: whose rules are judged by.")]
At = Annotated[str, typer.Option(help="How many of a picture's best labels count: one K or several, with commas.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")]


@app.callback()
def zerotag() -> None:
    """Multi-label zero-shot image tagging: train on seen labels, rank any label by its meaning."""


@data_app.callback()
def data() -> None:
    """Data sets: those that zerotag makes by itself, and folders of one's own pictures.

    A folder of one's own holds pictures and **labels.jsonl**, a line a picture:
    `{"path": "a.jpg", "labels": ["dog", "beach"], "split": "train"}`; or **labels.csv** with the columns path, labels
    (separated by ;) and split. Without splits one picture in five is taken for testing. **labels.txt**, if it is
    there, lists the labels that may come, one a line. Give the folder's path wherever a command asks for DATA, and as
    data in the settings.
    """


@labels_app.callback()
def labels() -> None:
    """Lists of words to tag with.

    A list is a text file with a label a line, or YAML:

    `labels: [dog, {name: kitten, aliases: [young cat], parent: cat, threshold: 0.6}]`

    Beside **labels** there may be **groups** (labels by their common parent), **sets** (lists that come along) and
    **exclude** (labels never to be given).
    """


def show(*tables: RenderableType) -> None:
    """Print tables on standard output, as wide as the terminal allows."""
    console = Console(emoji=False)
    console.width = max(console.width, NARROWEST)
    console.print(*tables, sep="\n")


def say(*lines: object) -> None:
    """Print lines on standard output."""
    for line in lines:
        print(shown(str(line)))


def say_json(data: Any, *, indent: int | None = None) -> None:
    """Print JSON on standard output, in ASCII; a number that is not finite is null."""
    print(json.dumps(_finite(data), indent=indent, allow_nan=False))


def note(text: str) -> None:
    """Print a line on standard error."""
    notes.print(shown(text), soft_wrap=True)


def note_error(text: str) -> None:
    """Print the sentence with which a command ends on standard error."""
    notes.print(Text.assemble(("zerotag:", "red"), " ", shown(" ".join(text.splitlines()))), soft_wrap=True)


def conclude(*outcomes: tuple[int, int]) -> None:
    """End a command that worked on many things with the exit status that says how it went.

    Args:
        outcomes: of each kind of things: number of those that went well, and of those that failed.
    """
    if any(failed and not good for good, failed in outcomes):
        raise typer.Exit(Status.FAILED)
    if any(failed for _, failed in outcomes):
        raise typer.Exit(Status.SOME_FAILED)


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """A progress function that draws one bar a piece of work, with the time that remains, on stderr."""
    description = TextColumn("{task.description}", markup=False)
    columns = (description, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # what is printed meanwhile would go to stderr, were it redirected
    with ProgressBars(*columns, console=notes, redirect_stdout=False, redirect_stderr=False) as bars:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(shown(what), total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show


def _finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def counts(text: str) -> list[int]:
    """The numbers of a list such as "3,5".

    Raises:
        ZerotagError: one of them is no whole number above zero.
    """
    numbers = [part.strip() for part in text.split(",")]
    if wrong := [number for number in numbers if not number.isdecimal() or not int(number)]:
        raise ZerotagError(f"'{wrong[0]}' is no number of labels; write whole numbers such as 3,5")
    return [int(number) for number in numbers]
