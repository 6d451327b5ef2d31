"""What the rows of a bench say together: means over seeds with intervals, and differences that may be chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.stats import t as student_t

from zerotag.harness.bench import Row

CONFIDENCE = 0.95
NUM_DRAWS = 4000
REFERENCE = "gbe"


class Interval(NamedTuple):
    """A mean and the bounds of its 95 % interval, which are not numbers where there is but one seed."""

    mean: float
    low: float
    high: float

    @property
    def half(self) -> float:
        """Half of its width."""
        return (self.high - self.low) / 2


@dataclass(frozen=True)
class Summary:
    """One method in one setting, over its seeds; shares in [0, 1].

    Attributes:
        method: its name.
        num_seeds: how many came to an end.
        figures: mAP, and precision, recall and F1 at K, by name.
        chance: the mean of what a random order gets as mAP.
        positives_per_image: Q, the mean number of right labels of a test picture; equal in all rows of a setting.
        lead: by how much the mAP of the reference method is higher, with its interval; None for the reference itself.
        pointing_game: how often a heat map peaks on the object; None where there are no boxes or no heat maps.
        costs: means of "num_parameters", "train_seconds", "ms_per_image" and "peak_memory_bytes".
        failures: reasons of seeds that came to none.
    """

    method: str
    num_seeds: int
    figures: dict[str, Interval]
    chance: float
    positives_per_image: float
    lead: Interval | None
    pointing_game: Interval | None
    costs: dict[str, float | None]
    failures: tuple[str, ...]


def summarise(rows: Sequence[Row], setting: str) -> list[Summary]:
    """Every method that was asked for a setting, best mAP first, those without figures last."""
    methods = dict.fromkeys(row.job.method for row in rows if setting in row.job.judged)
    of = {m: [row for row in rows if row.job.method == m and setting in row.job.judged] for m in methods}
    found = [_summary(m, of[m], of.get(REFERENCE, []), setting) for m in methods]
    return sorted(found, key=lambda summary: -summary.figures["mAP"].mean if summary.figures else np.inf)


def _summary(method: str, rows: Sequence[Row], reference: Sequence[Row], setting: str) -> Summary:
    done = [row.outcome for row in rows if row.outcome is not None]
    failures = tuple(f"seed {row.job.settings.seed}: {row.failure}" for row in rows if row.outcome is None)
    if not done:
        return Summary(method, 0, {}, np.nan, np.nan, None, None, {}, failures)
    reports = [outcome["settings"][setting] for outcome in done]
    figures = {"mAP": [report["mean_average_precision"] for report in reports]}
    for k in reports[0]["at_k"]:
        for name, short in (("precision", "P"), ("recall", "R"), ("f1", "F1")):
            figures[f"{short}@{k}"] = [report["at_k"][k][name] for report in reports]
    games = [outcome["pointing_game"]["accuracy"] for outcome in done if outcome["pointing_game"]]
    return Summary(
        method,
        len(done),
        {name: mean_interval(values) for name, values in figures.items()},
        float(np.mean([report["chance"]["mean_average_precision"] for report in reports])),
        float(np.mean([report["positives_per_image"] for report in reports])),
        None if method == REFERENCE else _lead(reference, rows, setting),
        mean_interval(games) if games else None,
        {name: _mean(done, name) for name in ("num_parameters", "train_seconds", "ms_per_image", "peak_memory_bytes")},
        failures,
    )


def mean_interval(values: Sequence[float]) -> Interval:
    """The mean of some seeds, and its interval by Student's t."""
    mean, number = float(np.mean(values)), len(values)
    if number < 2:
        return Interval(mean, np.nan, np.nan)
    half = float(student_t.ppf((1 + CONFIDENCE) / 2, number - 1) * np.std(values, ddof=1) / np.sqrt(number))
    return Interval(mean, mean - half, mean + half)


def paired_lead(
    ours: Float[np.ndarray, " s"],
    other: Float[np.ndarray, " s"],
    our_resamples: Float[np.ndarray, "s b"],
    other_resamples: Float[np.ndarray, "s b"],
) -> Interval:
    """By how much one method leads another, with the interval of a bootstrap over seeds and over test pictures.

    Each draw takes as many seeds as there are, with replacement, and for each a resample of its test pictures, the
    same for both methods.

    Args:
        ours: figures by seed.
        other: those of the other method, of the same seeds.
        our_resamples: the same figures on B resamples of the test pictures.
        other_resamples: on the same resamples.
    """
    random = np.random.default_rng(0)
    differences = our_resamples - other_resamples
    num_seeds, num_resamples = differences.shape
    seeds = random.integers(0, num_seeds, (NUM_DRAWS, num_seeds))
    resamples = random.integers(0, num_resamples, (NUM_DRAWS, num_seeds))
    low, high = np.nanquantile(differences[seeds, resamples].mean(1), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(float((ours - other).mean()), float(low), float(high))


def _lead(reference: Sequence[Row], rows: Sequence[Row], setting: str) -> Interval | None:
    by_seed = [{r.job.settings.seed: r.outcome for r in of if r.outcome is not None} for of in (reference, rows)]
    if not (seeds := sorted(by_seed[0].keys() & by_seed[1].keys())):
        return None
    means = [np.array([of[seed]["settings"][setting]["mean_average_precision"] for seed in seeds]) for of in by_seed]
    resamples = [np.array([of[seed]["resampled_map"][setting] for seed in seeds], float) for of in by_seed]
    return paired_lead(means[0], means[1], resamples[0], resamples[1])


def _mean(outcomes: Sequence[dict[str, Any]], name: str) -> float | None:
    values = [outcome[name] for outcome in outcomes if outcome[name] is not None]
    return float(np.mean(values)) if values else None
