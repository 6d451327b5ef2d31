"""What a bench consists of: one training for each method, seed and label split, each in a folder of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zerotag.errors import UnknownNameError, ZerotagError
from zerotag.harness.methods import FAST, method_settings
from zerotag.labels import SETTINGS
from zerotag.models import MODELS, list_models
from zerotag.training.results import Outcome, read_results
from zerotag.training.run import current_versions, load_run
from zerotag.training.settings import Settings, list_recipes, validate_settings

AS_PRINTED = "gbe-literal"


@dataclass(frozen=True)
class Variant:
    """A row of a table: a method, with changes where there are some.

    Attributes:
        name: in the tables; runs are called after it.
        method: what :func:`zerotag.harness.methods.method_settings` takes.
        changes: settings ``a.b=c`` of this row alone.
        judged: "zsl", "gzsl" and "multilabel", as far as it has a row in them.
    """

    name: str
    method: str
    changes: tuple[str, ...] = ()
    judged: tuple[str, ...] = SETTINGS

    @classmethod
    def named(cls, method: str) -> Variant:
        """A method as it is."""
        return cls(Path(method).stem, method)


@dataclass(frozen=True)
class Job:
    """One training and its judgement.

    Attributes:
        method: its name in the tables.
        settings: of the run; the seed is among them.
        judged: settings that the run is judged in: "zsl" and "gzsl", or "multilabel", which needs all labels seen.
        folder: of the run.
    """

    method: str
    settings: Settings
    judged: tuple[str, ...]
    folder: Path

    @property
    def outcome_file(self) -> Path:
        """Where the outcome is kept; it is there when all went well."""
        return self.folder / "outcome.json"

    @property
    def log(self) -> Path:
        """What the process that did it had to say; the last line is the reason where it failed."""
        return self.folder / "worker.log"

    def to_json(self) -> str:
        """A line for the process that is to do it."""
        fields = {"settings": self.settings.model_dump(), "method": self.method, "judged": self.judged}
        return json.dumps(fields | {"folder": str(self.folder.resolve())})

    @classmethod
    def from_json(cls, line: str) -> Job:
        """The job of a line by :meth:`to_json`."""
        fields = json.loads(line)
        settings = validate_settings(fields["settings"], "the bench")
        return cls(fields["method"], settings, tuple(fields["judged"]), Path(fields["folder"]))

    def outcome(self) -> dict[str, Any] | None:
        """What came of it, or None where it has not been done yet.

        Raises:
            ZerotagError: the file is damaged.
        """
        return read_results(self.outcome_file, "delete it, and run the bench again", Outcome)


def default_variants() -> list[Variant]:
    """Every model that has a fast recipe; GBE comes first, and after it GBE as printed, where labels are unseen."""
    fast = [model for model in list_models() if f"{model}{FAST}.yaml" in list_recipes()]
    as_printed = Variant(AS_PRINTED, AS_PRINTED, judged=("zsl", "gzsl"))
    return [Variant.named("gbe"), as_printed, *(Variant.named(model) for model in fast if model != "gbe")]


def plan(
    data: str,
    variants: Sequence[Variant],
    *,
    num_seeds: int,
    settings: Sequence[str],
    folder: Path,
    changes: Sequence[str] = (),
) -> list[Job]:
    """The jobs of a bench; a method that cannot do a setting has no job for it.

    Raises:
        ZerotagError: an unknown method or setting, nothing that can be done, or ``folder`` holds runs of the same
            names that came from other settings or versions.
    """
    for setting in settings:
        if setting not in SETTINGS:
            raise UnknownNameError("setting", setting, list(SETTINGS))
    zero_shot = tuple(s for s in settings if s != "multilabel")
    splits = [("zeroshot", zero_shot, []), ("multilabel", ("multilabel",), ["labels.unseen_fraction=0"])]
    jobs = []
    for seed in range(num_seeds):
        for variant in variants:
            for name, judged, change in splits:
                chosen = method_settings(variant.method, data, [*variant.changes, *changes, *change, f"seed={seed}"])
                asked = [s for s in judged if s in settings and s in variant.judged]
                possible = tuple(s for s in asked if s in MODELS[chosen.model.name].settings)
                if possible:
                    run = folder / f"{variant.name}-{name}-seed{seed}"
                    jobs.append(Job(variant.name, chosen, possible, run))
    if not jobs:
        raise ZerotagError(
            f"none of {', '.join(variant.name for variant in variants)} can do {' or '.join(settings)}: "
            "methods with fixed labels can do 'multilabel' alone"
        )
    if stale := [f"{job.folder} ({why})" for job in jobs if (why := _why_stale(job))]:
        raise ZerotagError(
            f"{len(stale)} runs were made by other settings or versions and cannot stand beside new ones: "
            f"{'; '.join(stale[:3])}{'; …' if len(stale) > 3 else ''}; delete them, or choose another --out"
        )
    return jobs


def _why_stale(job: Job) -> str:
    if not (job.folder / "run.json").exists():
        return ""
    run = load_run(job.folder)
    old, new = run.settings.model_dump(), job.settings.model_dump()
    versions = current_versions(job.settings.model.name)
    return ", ".join(
        [name for name in new if new[name] != old[name]]
        + [name for name in versions if versions[name] != run.versions.get(name)]
    )
