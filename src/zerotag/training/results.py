"""The figures that are kept in the folder of a run, as they are read back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from zerotag.json_files import damaged, first_fault, read_json

FILE = "results.json"


class Figures(BaseModel):
    """Numbers that are numbers."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class AtK(Figures):
    """Of each picture's K best labels."""

    precision: float
    recall: float
    f1: float


class ChanceFigures(Figures):
    """Of a random order."""

    mean_average_precision: float
    at_k: dict[str, AtK]


class LabelRow(Figures):
    """Of one label."""

    label: str
    seen: bool
    average_precision: float | None
    num_positives: int


class SettingFigures(Figures):
    """Of one setting: :meth:`zerotag.judgement.Report.to_dict`."""

    protocol: str
    num_images: int
    num_labels: int
    mean_average_precision: float
    at_k: dict[str, AtK]
    positives_per_image: float
    chance: ChanceFigures
    per_label: Annotated[list[LabelRow], Field(min_length=1)]


class Game(Figures):
    """Of the pointing game."""

    accuracy: float
    chance: float
    num_pairs: int


class Results(Figures):
    """What ``results.json`` holds: :meth:`zerotag.evaluation.Evaluation.to_dict`."""

    settings: Annotated[dict[str, SettingFigures], Field(min_length=1)]
    pointing_game: Game | None
    num_parameters: int
    ms_per_image: float


class Outcome(Results):
    """What ``outcome.json`` of a bench holds besides; a resample without positives has no figure."""

    train_seconds: float
    peak_memory_bytes: int | None
    resampled_map: dict[str, list[float | None]]

    @model_validator(mode="after")
    def _is_of_the_same_settings(self) -> Outcome:
        if self.resampled_map.keys() != self.settings.keys():
            raise ValueError("the resamples are of other settings than the figures")
        return self


def read_results(file: Path, cure: str, kind: type[Results] = Results) -> dict[str, Any] | None:
    """The figures in a file; None where there is none.

    Args:
        file: The file.
        cure: What the user may do where it is damaged.
        kind: What the file must hold.

    Raises:
        ZerotagError: It is damaged.
    """
    if not file.exists():
        return None
    plain: dict[str, Any] = read_json(file, cure)
    try:
        kind.model_validate(plain)
    except ValidationError as error:
        raise damaged(file, first_fault(error), cure) from error
    return plain


def evaluate_again(folder: Path) -> str:
    """What to do where the figures of a run are damaged."""
    return f"delete it, and run: zerotag eval {folder}"
