"""The log of a run: a line an epoch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zerotag.json_files import LARGEST_BYTES, damaged, first_fault, parse_json, read_bytes
from zerotag.storage import write_atomically

CURE = "put it back from a copy, or delete it: it holds the training's curve and times, not the weights"


class Line(BaseModel):
    """What is kept of an epoch.

    Attributes:
        epoch: Its number, from 1.
        step: Steps of the training up to its end.
        loss: Mean over its steps.
        pictures_without_labels: How many of its pictures had no label to learn.
        learning_rate: At its end.
        seconds: Of the training up to its end.
        held_out_map: Mean average precision on held-out pictures, where there are some.
    """

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    epoch: Annotated[int, Field(ge=1)]
    step: Annotated[int, Field(ge=0)]
    loss: float
    pictures_without_labels: int = 0
    learning_rate: float
    seconds: float
    held_out_map: float | None = None


def read_log(file: Path) -> list[Line]:
    """The lines of a log; none where there is no file.

    Raises:
        ZerotagError: A line is damaged.
    """
    if not file.exists():
        return []
    lines = []
    for number, content in enumerate(read_bytes(file, CURE, LARGEST_BYTES).splitlines(), start=1):
        try:
            lines.append(Line.model_validate(parse_json(content)))
        except ValidationError as error:
            raise damaged(file, f"line {number}: {first_fault(error)}", CURE) from error
        except ValueError as error:
            raise damaged(file, f"line {number}: {error}", CURE) from error
    return lines


def write_log(file: Path, lines: Sequence[Line]) -> None:
    """Write all lines, atomically."""
    write_atomically(file, "".join(json.dumps(line.model_dump(exclude_none=True)) + "\n" for line in lines))
