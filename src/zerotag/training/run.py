"""The folder of a run: its settings, the labels it drew, what it was made from, its log, its weights.

``run.json`` is the record, ``log.jsonl`` a line an epoch, ``checkpoint.safetensors`` the state to go on from,
``model.safetensors`` the chosen weights, there when training has finished.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from zerotag import losses
from zerotag.errors import ZerotagError
from zerotag.json_files import damaged, first_fault, read_json
from zerotag.labels import LabelSet
from zerotag.models import MODELS, layers
from zerotag.storage import write_atomically
from zerotag.training.checkpoint import TRAIN_AGAIN
from zerotag.training.log import read_log
from zerotag.training.settings import Settings, validate_settings

COPY = "copy the run to a folder of your own"
Label = Annotated[str, Field(min_length=1, max_length=10_000)]
Stride = Annotated[str, Field(pattern=r"^(0|[1-9]\d{0,3})$")]


class BackboneRecord(BaseModel):
    """What is read of the record of the feature maps; the rest is compared as a whole."""

    model_config = ConfigDict(strict=True, extra="allow")

    name: str
    channels: Annotated[dict[Stride, Annotated[int, Field(ge=1, le=2**20)]], Field(min_length=1)]


class Record(BaseModel):
    """What ``run.json`` holds."""

    model_config = ConfigDict(strict=True)

    settings: dict[str, Any]
    seen_labels: list[Label]
    unseen_labels: list[Label]
    held_out_labels: list[Label]
    backbone: BackboneRecord
    vectors: dict[str, Any]
    versions: dict[str, str]


@dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
        folder: where it lies.
        settings: what it was asked for.
        labels: seen and unseen labels.
        held_out_labels: seen labels kept from training to choose the best epoch by.
        backbone: name, weights, preprocessing and channels of the backbone.
        vectors: where the label vectors came from.
        versions: of Python, of the packages and of the source that the figures depend on.
    """

    folder: Path
    settings: Settings
    labels: LabelSet
    held_out_labels: tuple[str, ...]
    backbone: dict[str, Any]
    vectors: dict[str, Any]
    versions: dict[str, str]

    @property
    def checkpoint(self) -> Path:
        """The state to go on from."""
        return self.folder / "checkpoint.safetensors"

    @property
    def best(self) -> Path:
        """The weights of the best epoch so far, while training goes on."""
        return self.folder / "best.safetensors"

    @property
    def weights(self) -> Path:
        """The chosen weights."""
        return self.folder / "model.safetensors"

    def weights_digest(self) -> str:
        """SHA-256 of the chosen weights."""
        with self.weights.open("rb") as weights:
            return hashlib.file_digest(weights, "sha256").hexdigest()

    @property
    def is_finished(self) -> bool:
        """Whether training has come to its end."""
        return self.weights.is_file()

    def save(self) -> None:
        """Write the record."""
        record = {
            "settings": self.settings.model_dump(),
            "seen_labels": self.labels.seen,
            "unseen_labels": self.labels.unseen,
            "held_out_labels": self.held_out_labels,
            "backbone": self.backbone,
            "vectors": self.vectors,
            "versions": self.versions,
        }
        write_atomically(self.folder / "run.json", json.dumps(record, indent=1))

    @property
    def log_file(self) -> Path:
        """Where the log is kept."""
        return self.folder / "log.jsonl"

    def log(self) -> list[dict[str, Any]]:
        """The lines of the log, one an epoch.

        Raises:
            ZerotagError: A line is damaged.
        """
        return [line.model_dump(exclude_none=True) for line in read_log(self.log_file)]


def load_run(folder: Path) -> Run:
    """Read the record of a run.

    Raises:
        ZerotagError: the folder holds no run, or a damaged one.
    """
    file = folder / "run.json"
    if not file.exists():
        raise ZerotagError(f"{folder} holds no run; make one with: zerotag train CONFIG.yaml --out {folder}")
    plain = read_json(file, TRAIN_AGAIN)
    try:
        record = Record.model_validate(plain)
    except ValidationError as error:
        raise damaged(file, first_fault(error), TRAIN_AGAIN) from error
    try:
        labels = LabelSet(tuple(record.seen_labels), tuple(record.unseen_labels))
    except ZerotagError as error:
        raise damaged(file, str(error), TRAIN_AGAIN) from error
    held_out = set(record.held_out_labels)
    if not held_out < set(labels.seen):
        raise damaged(file, "its held-out labels are not some of the seen ones", TRAIN_AGAIN)
    return Run(
        folder,
        validate_settings(record.settings, str(file)),
        labels,
        tuple(record.held_out_labels),
        plain["backbone"],
        record.vectors,
        record.versions,
    )


def earlier_run(settings: Settings, folder: Path, resume: bool) -> Run | None:
    """The run that is to be gone on with; None where the folder holds none.

    Raises:
        ZerotagError: there is one and ``resume`` is not set, it has other settings, or lacks its record.
    """
    if not (folder / "run.json").exists():
        if orphans := sorted(file.name for file in folder.glob("*.safetensors")):
            raise ZerotagError(
                f"{folder} holds {', '.join(orphans)}, but not the run.json that says what they are; put it back, "
                "delete them, or choose another --out"
            )
        return None
    if not resume:
        raise ZerotagError(f"{folder} holds a run already; add --resume to go on with it, or choose another --out")
    earlier = load_run(folder)
    old, new = earlier.settings.model_dump(), settings.model_dump()
    if changed := [name for name in new if new[name] != old[name]]:
        raise ZerotagError(
            f"the run in {folder} has other settings ({', '.join(changed)}), so it cannot be gone on with; "
            "choose another --out"
        )
    return earlier


def check_same(earlier: Run, now: Run) -> None:
    """Refuse to go on with a run whose labels, vectors or feature maps are others by now.

    Raises:
        ZerotagError: they are.
    """
    parts = ("labels", "held_out_labels", "vectors", "backbone")
    changed = [name.replace("_", "-") for name in parts if getattr(earlier, name) != getattr(now, name)]
    if changed and not earlier.is_finished:
        raise ZerotagError(
            f"the run in {earlier.folder} began with other {' and '.join(changed)} than its settings come to now, so "
            "it cannot be gone on with; choose another --out"
        )


def last_epoch(run: Run) -> dict[str, Any]:
    """The last line of a run's log.

    Raises:
        ZerotagError: The log is damaged, or empty.
    """
    if not (log := run.log()):
        raise ZerotagError(f"{run.log_file} is not there or empty; delete {run.folder}, and train it again")
    return log[-1]


def current_versions(model: str) -> dict[str, str]:
    """Versions that the figures of a model depend on, the digest of its source and of what trains it among them."""
    packages = {package: version(package) for package in ("zerotag", "torch", "timm", "numpy")}
    return {"python": platform.python_version()} | packages | {"source": _source_digest(model)}


def _source_digest(model: str) -> str:
    here = Path(__file__).parent
    classes = [kind for kind in MODELS[model].__mro__ if kind.__module__.startswith("zerotag")]
    files = {Path(inspect.getfile(kind)) for kind in classes} | {
        Path(inspect.getfile(module)) for module in (layers, losses)
    }
    digest = hashlib.sha256()
    for file in sorted({*files, *here.glob("*.py")}):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]
