"""What all commands share: the application, progress bars, and where notes go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBars

from zerotag.errors import ZerotagError
from zerotag.progress import Progress

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)
data_app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
labels_app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(data_app, name="data")
app.add_typer(labels_app, name="labels")
notes = Console(stderr=True)

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


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """A progress function that draws one bar a piece of work, with the time that remains, on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ProgressBars(*columns, console=notes) as bars:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show


def counts(text: str) -> list[int]:
    """The numbers of a list such as "3,5".

    Raises:
        ZerotagError: one of them is no whole number above zero.
    """
    numbers = [part.strip() for part in text.split(",")]
    if wrong := [number for number in numbers if not number.isdecimal() or not int(number)]:
        raise ZerotagError(f"'{wrong[0]}' is no number of labels; write whole numbers such as 3,5")
    return [int(number) for number in numbers]
