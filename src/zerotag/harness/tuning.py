"""The same search for every method, judged on held-out labels of held-out training pictures alone."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from zerotag.errors import ZerotagError
from zerotag.harness.journal import LEARNING_RATES, WEIGHT_DECAYS, open_study
from zerotag.locks import held
from zerotag.models import MODELS
from zerotag.progress import Progress, silent
from zerotag.storage import write_atomically
from zerotag.training.loop import train
from zerotag.training.run import last_epoch
from zerotag.training.settings import Settings, validate_settings

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

HELD_OUT_LABELS, HELD_OUT_PICTURES = 0.2, 0.1
RANDOM_TRIALS = 5


@dataclass(frozen=True)
class Found:
    """What a search came to: the best settings, their score, and a row a trial."""

    settings: Settings
    score: float
    trials: list[dict[str, Any]]


def tune(settings: Settings, folder: Path, *, num_trials: int = 8, progress: Progress = silent) -> Found:
    """Search learning rate and weight decay; the first trial takes them as ``settings`` has them.

    A trial trains to the end on 80 % of the seen labels and 90 % of the training pictures; its score is the mean
    average precision of the other labels on the other pictures after the last epoch. A method with fixed labels is
    trained on all labels, and judged on the other pictures. Test pictures and unseen labels are never looked at.
    A search that was stopped goes on. Written to ``folder``: ``trials.csv``, and ``best.yaml`` to train with.

    Args:
        settings: what to start from.
        folder: where the search is kept.
        num_trials: how many trainings, those of an earlier call with the same folder among them.
        progress: told of each step.

    Raises:
        MissingPackageError: Optuna is not installed.
        ZerotagError: ``folder`` holds a search from other settings or with other bounds, or every trial failed.
    """
    with held(folder, "choose another --out"):
        return _tune(settings, folder, num_trials, progress)


def _tune(settings: Settings, folder: Path, num_trials: int, progress: Progress) -> Found:
    study = open_study(settings, folder)
    first = settings.optimiser
    study.enqueue_trial(
        {
            "learning_rate": _within(first.learning_rate, LEARNING_RATES),
            "weight_decay": _within(first.weight_decay, WEIGHT_DECAYS),
        },
        skip_if_exists=True,
    )
    _take_up_what_was_killed(study)
    while (done := len(_finished(study))) < num_trials:
        progress(f"Tuning {settings.model.name}", done, num_trials)
        _run_trial(study, settings, folder, progress)
    progress(f"Tuning {settings.model.name}", num_trials, num_trials)
    return _conclude(study, settings, folder)


def _run_trial(study: Study, settings: Settings, folder: Path, progress: Progress) -> None:
    from optuna.samplers import TPESampler
    from optuna.trial import TrialState

    # a sampler made anew for each trial draws the same whether or not the search was stopped before
    study.sampler = TPESampler(n_startup_trials=RANDOM_TRIALS, seed=1000 * settings.seed + len(_finished(study)))
    trial = study.ask()
    chosen = _with(settings, _suggest(trial))
    began = time.monotonic()
    try:
        run = train(_held_out(chosen), folder / f"trial-{trial.number}", resume=True, progress=progress)
    except ZerotagError as error:
        trial.set_user_attr("seconds", time.monotonic() - began)
        trial.set_user_attr("failure", str(error))
        study.tell(trial, state=TrialState.FAIL)
        return
    for weights in (run.weights, run.checkpoint):
        weights.unlink(missing_ok=True)
    trial.set_user_attr("seconds", time.monotonic() - began)
    if (score := last_epoch(run).get("held_out_map")) is None:
        trial.set_user_attr("failure", "no held-out picture has a label to be ranked")
        study.tell(trial, state=TrialState.FAIL)
        return
    study.tell(trial, score)


def _suggest(trial: Trial) -> dict[str, Any]:
    return {
        "learning_rate": trial.suggest_float("learning_rate", *LEARNING_RATES, log=True),
        "weight_decay": trial.suggest_float("weight_decay", *WEIGHT_DECAYS, log=True),
    }


def _with(settings: Settings, values: dict[str, Any]) -> Settings:
    return settings.model_copy(update={"optimiser": settings.optimiser.model_copy(update=values)})


def _held_out(settings: Settings) -> Settings:
    """The same settings with labels and pictures held out; a method with fixed labels keeps all its labels."""
    takes_any_label = "zsl" in MODELS[settings.model.name].settings
    tree = settings.model_dump()
    tree["selection"] = {
        "held_out_labels": HELD_OUT_LABELS if takes_any_label else 0.0,
        "held_out_pictures": HELD_OUT_PICTURES,
    }
    if not takes_any_label:
        tree["labels"]["unseen_fraction"] = 0.0
    return validate_settings(tree, "the search")


def _take_up_what_was_killed(study: Study) -> None:
    """A trial that was killed is asked for again."""
    from optuna.trial import TrialState

    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        study.enqueue_trial(trial.params)
        study.tell(trial.number, state=TrialState.FAIL)


def _finished(study: Study) -> list[FrozenTrial]:
    return [trial for trial in study.trials if "seconds" in trial.user_attrs]


def _conclude(study: Study, settings: Settings, folder: Path) -> Found:
    rows = [
        {
            "trial": number,
            **{name: float(f"{value:.3g}") for name, value in trial.params.items()},
            "score": trial.value,
            "seconds": round(trial.user_attrs["seconds"], 1),
            "failure": trial.user_attrs.get("failure", ""),
        }
        for number, trial in enumerate(_finished(study))
    ]
    scored = [row for row in rows if row["score"] is not None]
    if not scored:
        raise ZerotagError(f"every trial failed, the first one since {rows[0]['failure']}")
    best = max(scored, key=lambda row: row["score"])
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_atomically(folder / "trials.csv", text.getvalue())
    found = _with(settings, {name: best[name] for name in ("learning_rate", "weight_decay")})
    write_atomically(folder / "best.yaml", yaml.safe_dump(found.model_dump(exclude_defaults=True), sort_keys=False))
    return Found(found, best["score"], rows)


def _within(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])
