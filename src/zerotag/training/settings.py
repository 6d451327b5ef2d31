"""Settings of a run: a YAML file, checked against the sections below before any work begins."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from zerotag.datasets.pocket import BUILDERS
from zerotag.errors import UnknownNameError, ZerotagError, shown
from zerotag.json_files import read_bytes
from zerotag.models import list_models
from zerotag.vectors import MINILM

LARGEST_BYTES = 2**20
Fraction = Annotated[float, Field(ge=0, lt=1)]
Count = Annotated[int, Field(ge=1, le=10**9)]
Side = Annotated[int, Field(ge=1, le=2**14)]
Option = bool | int | Annotated[float, Field(allow_inf_nan=False)] | str | None


def _absolute(name: str) -> str:
    """A path that holds from every working directory; a name that is known, or no path, stays as it is."""
    if name == MINILM or name in BUILDERS:
        return name
    try:
        return str(Path(name).resolve()) if Path(name).exists() else name
    except (OSError, ValueError) as error:
        raise ValueError(f"'{shown(name[:80])}' cannot be the name of a file or folder") from error


NameOrPath = Annotated[str, AfterValidator(_absolute)]


class Section(BaseModel):
    """A part of the settings; a name it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class BackboneSettings(Section):
    """Which timm model makes the feature maps, of pictures of which size; ``train`` trains it too, as in the paper.

    With ``map_side`` the map of stride 32 is averaged to so many cells a side, and finer maps in proportion: a model
    then trains on large pictures as fast as on small ones.
    """

    name: str = "tf_efficientnet_lite0"
    size_px: Side = 224
    map_side: Side | None = None
    pretrained: bool = True
    train: bool = False


class VectorSettings(Section):
    """Where label vectors come from: "minilm" or the path of a word-vector file; ``centre`` removes the seen mean."""

    source: NameOrPath = MINILM
    centre: bool = True


class LabelSettings(Section):
    """Which labels are never trained on: a fraction drawn by the seed."""

    unseen_fraction: Fraction = 0.2


class ModelSettings(Section):
    """A registered model and the options of its constructor."""

    name: str
    options: dict[str, Option | list[Option]] = {}

    @model_validator(mode="after")
    def _is_registered(self) -> ModelSettings:
        if self.name not in list_models():
            raise ValueError(str(UnknownNameError("model", self.name, list_models())))
        return self


class OptimiserSettings(Section):
    """Optimiser and learning-rate schedule.

    ``milestones`` are the epochs after which "steps" divides by ten. ``warm_up`` is the share of the steps in which
    "one_cycle" and "cosine" come to ``learning_rate``; the latter ends at ``last_learning_rate``. ``momentum`` is that
    of "rmsprop". ``superpose`` is the share of training pictures that are laid over another one of their batch: the
    maximum of both their feature maps, the labels of both. A batch is computed in ``parts``, one after the other, so
    that a large one fits into memory; several processes share each batch.
    """

    name: Literal["adam", "adamw", "rmsprop"] = "adamw"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    momentum: Fraction = 0.9
    schedule: Literal["constant", "cosine", "one_cycle", "steps"] = "one_cycle"
    warm_up: Fraction = 0.3
    last_learning_rate: Annotated[float, Field(ge=0)] = 0.0
    milestones: list[Count] = []
    epochs: Count = 10
    batch_size: Count = 32
    parts: Count = 1
    superpose: Annotated[float, Field(ge=0, le=1)] = 0.0


class SelectionSettings(Section):
    """What is held out of training to choose the best epoch by.

    Held-out pictures are judged on the held-out labels, or on all seen ones where none is held out; without held-out
    pictures the last epoch is kept.
    """

    held_out_labels: Fraction = 0.1
    held_out_pictures: Fraction = 0.1


class Settings(Section):
    """All settings of a run."""

    data: NameOrPath
    model: ModelSettings
    backbone: BackboneSettings = BackboneSettings()
    vectors: VectorSettings = VectorSettings()
    labels: LabelSettings = LabelSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    selection: SelectionSettings = SelectionSettings()
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


def list_recipes() -> list[str]:
    """Names of the settings that come with zerotag."""
    return sorted(
        file.name for file in (resources.files("zerotag") / "experiments").iterdir() if file.name.endswith(".yaml")
    )


def load_settings(config: str | Path, changes: Sequence[str] = ()) -> Settings:
    """Read settings from a YAML file, or a recipe that comes with zerotag, and apply ``a.b=c`` changes.

    Raises:
        ZerotagError: no such file, no YAML, or settings that do not hold; the message names each one.
    """
    path = Path(config)
    recipe = path.name if path.suffix else f"{path.name}.yaml"
    if path.is_file():
        text = _text(path)
    elif len(path.parts) == 1 and recipe in list_recipes():
        text = (resources.files("zerotag") / "experiments" / recipe).read_text()
    else:
        raise ZerotagError(f"there is no settings file {config}; recipes that come along: {', '.join(list_recipes())}")
    try:
        tree = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ZerotagError(f"{config} is not valid YAML: {shown(' '.join(str(error).split()))}") from error
    if not isinstance(tree, dict):
        raise ZerotagError(f"{config} holds no settings; expected lines such as 'data: pocket-scenes'")
    for change in changes:
        _apply(tree, change)
    return validate_settings(tree, str(config))


def _text(path: Path) -> str:
    content = read_bytes(path, "name another settings file", LARGEST_BYTES)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ZerotagError(f"{path} is not UTF-8; save it as UTF-8") from error


def validate_settings(tree: dict[str, Any], where: str) -> Settings:
    """Settings from plain data.

    Raises:
        ZerotagError: a sentence for each setting that does not hold.
    """
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        faults = "; ".join(
            f"'{'.'.join(map(str, fault['loc']))}': {_plain(fault['type'], fault['msg'])}" for fault in error.errors()
        )
        raise ZerotagError(f"the settings in {where} do not hold: {faults}") from error


def _plain(kind: str, message: str) -> str:
    sentences = {"extra_forbidden": "there is no such setting", "missing": "this setting is needed"}
    return sentences.get(kind, message.removeprefix("Value error, ").replace("Input should", "it should"))


def _apply(tree: dict[str, Any], change: str) -> None:
    name, equals, value = change.partition("=")
    if not equals or not name:
        raise ZerotagError(f"'{change}' is no setting; write it as optimiser.epochs=5")
    *sections, last = name.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise ZerotagError(f"'{name}' cannot be set: '{section}' is a value, not a section")
    try:
        tree[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ZerotagError(f"the value in '{change}' is not valid YAML") from error
