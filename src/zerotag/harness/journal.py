"""Where a search is kept: the journal of Optuna, one line a change."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zerotag.errors import MissingPackageError, ZerotagError
from zerotag.json_files import LARGEST_BYTES, damaged, parse_json, read_bytes
from zerotag.storage import write_atomically
from zerotag.training.settings import Settings

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

LEARNING_RATES = (1e-4, 3e-2)
WEIGHT_DECAYS = (1e-4, 1.0)
FILE = "journal.log"
CURE = "choose another --out"


def open_study(settings: Settings, folder: Path) -> Study:
    """The search kept in a folder that this process holds, or a new one.

    Raises:
        MissingPackageError: Optuna is not installed.
        ZerotagError: The search is damaged, or from other settings or with other bounds.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingPackageError("optuna", "research", "zerotag tune") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    file = folder / FILE
    _mend(file)
    try:
        study = optuna.create_study(
            storage=_storage(file), study_name="zerotag", direction="maximize", load_if_exists=True
        )
        trials = study.trials
    except Exception as error:  # Optuna looks at nothing that it reads
        raise damaged(file, f"{type(error).__name__}: {error}", CURE) from error
    start = json.dumps([settings.model_dump(), LEARNING_RATES, WEIGHT_DECAYS], sort_keys=True)
    if study.user_attrs.setdefault("start", start) != start:
        raise ZerotagError(f"{folder} holds a search that began from other settings, or with other bounds; {CURE}")
    try:
        for trial in trials:
            _check(trial)
    except (TypeError, ValueError) as error:
        raise damaged(file, str(error), CURE) from error
    study.set_user_attr("start", start)
    return study


def _storage(file: Path) -> Any:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    return JournalStorage(JournalFileBackend(str(file)))


def _mend(file: Path) -> None:
    """Take away what a killed process left: Optuna's lock, which it would wait for, and a line that was cut off.

    Raises:
        ZerotagError: A line is damaged.
    """
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)
    if not file.exists():
        return
    content = read_bytes(file, CURE, LARGEST_BYTES)
    whole = content[: content.rfind(b"\n") + 1]
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            parse_json(line)
        except ValueError as error:
            raise damaged(file, f"line {number}: {error}", CURE) from error
    if whole != content:
        write_atomically(file, whole)


def _check(trial: FrozenTrial) -> None:
    """Refuse a trial that no search of this kind has written.

    Raises:
        ValueError: It is none.
    """
    bounds = {"learning_rate": LEARNING_RATES, "weight_decay": WEIGHT_DECAYS}
    for name, (low, high) in bounds.items():
        value = trial.params.get(name, low)
        if not low <= value <= high and trial.value is not None:
            raise ValueError(f"the {name} of trial {trial.number} is {value}")
    if trial.value is not None and not 0 <= trial.value <= 1:
        raise ValueError(f"the score of trial {trial.number} is {trial.value}")
    if not math.isfinite(float(trial.user_attrs.get("seconds", 0.0))):
        raise ValueError(f"the seconds of trial {trial.number} are no number")
    if not isinstance(trial.user_attrs.get("failure", ""), str):
        raise ValueError(f"the failure of trial {trial.number} is no text")
