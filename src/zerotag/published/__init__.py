"""Figures that papers printed, with their source, and what they say about themselves.

``numbers.csv`` holds the rows as printed, in percent. ``protocol`` names the evaluator as docs/protocol.md does, and is
empty where the paper does not say.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources

import numpy as np

from zerotag.errors import UnknownNameError

PRINTED_DIGIT = 0.1
NUM_LABELS = {("nus-wide", "multilabel"): 81}


@dataclass(frozen=True)
class AtK:
    """Precision, recall and F1 of each image's K best labels, in percent; None where none was printed."""

    k: int
    precision: float | None
    recall: float | None
    f1: float | None

    @property
    def positives_per_image(self) -> tuple[float, float] | None:
        """Bounds of Q = K·P/R, as far as one digit tells, rounded or cut off."""
        if not self.precision or not self.recall:
            return None
        low = self.k * (self.precision - PRINTED_DIGIT) / (self.recall + PRINTED_DIGIT)
        return low, self.k * (self.precision + PRINTED_DIGIT) / (self.recall - PRINTED_DIGIT)


@dataclass(frozen=True)
class Published:
    """One printed row.

    Attributes:
        source: the paper, and the table in it.
        data: "nus-wide" or "open-images-v4".
        setting: "zsl", "gzsl" or "multilabel".
        method: its name.
        backbone: as the source says.
        protocol: the evaluator; "" where the source does not say.
        at_k: figures at each K.
        mean_average_precision: in percent.
    """

    source: str
    data: str
    setting: str
    method: str
    backbone: str
    protocol: str
    at_k: tuple[AtK, ...]
    mean_average_precision: float | None


def published_numbers(data: str | None = None) -> list[Published]:
    """All rows, or those of one data set.

    Raises:
        UnknownNameError: there are no figures of that data set.
    """
    with (resources.files("zerotag.published") / "numbers.csv").open(encoding="utf-8") as file:
        rows = [_row(line) for line in csv.DictReader(file)]
    known = sorted({row.data for row in rows})
    if data is not None and data not in known:
        raise UnknownNameError("data set with published figures", data, known)
    return [row for row in rows if data in (None, row.data)]


def doubts(row: Published, table: Iterable[Published]) -> list[str]:
    """Why a row cannot be what it says, or cannot stand beside the others of its table.

    The mean number Q of right labels an image is K·P/R for every K and every method that was counted on the same
    images. F1 is 2PR/(P+R). A mean average precision near Q over the number of labels is chance.
    """
    found = []
    own = [at.positives_per_image for at in row.at_k if at.positives_per_image is not None]
    if own and max(low for low, _ in own) > min(high for _, high in own):
        each = " and ".join(f"{_middle(at):.2f} at K={at.k}" for at in row.at_k)
        found.append(f"contradicts itself: Q is {each}")
    else:
        usual = _usual_q(other for other in table if (other.data, other.setting, other.source) == _group(row))
        if own and usual is not None and not all(low <= usual <= high for low, high in own):
            found.append(f"other images: Q is {_middle(row.at_k[0]):.2f}, that of most rows {usual:.2f}")
    found += [
        f"F1 at K={at.k} is {2 * at.precision * at.recall / (at.precision + at.recall):.1f} by its own P and R, "
        f"printed {at.f1:.1f}"
        for at in row.at_k
        if at.precision and at.recall and at.f1 and not _f1_fits(at)
    ]
    labels = NUM_LABELS.get((row.data, row.setting))
    if labels and own and row.mean_average_precision is not None:
        chance = 100 * np.mean(own) / labels
        if row.mean_average_precision < 1.1 * chance:
            found.append(f"mAP at chance, which is {chance:.2f}")
    return found


def implied_q(row: Published) -> str:
    """Q at each K, as text."""
    return " / ".join(f"{_middle(at):.2f}" for at in row.at_k if at.positives_per_image)


def _group(row: Published) -> tuple[str, str, str]:
    return row.data, row.setting, row.source


def _usual_q(rows: Iterable[Published]) -> float | None:
    """The Q that fits the most rows."""
    bounds = np.array([at.positives_per_image for row in rows for at in row.at_k if at.positives_per_image])
    if not len(bounds):
        return None
    candidates = bounds.mean(1)
    fits = (bounds[:, 0] <= candidates[:, None]) & (candidates[:, None] <= bounds[:, 1])
    return float(candidates[fits.sum(1).argmax()])


def _middle(at: AtK) -> float:
    return at.k * (at.precision or 0) / (at.recall or 1)


def _f1_fits(at: AtK) -> bool:
    assert at.precision and at.recall and at.f1
    low, high = (
        2 * (at.precision + d) * (at.recall + d) / (at.precision + at.recall + 2 * d)
        for d in (-PRINTED_DIGIT, PRINTED_DIGIT)
    )
    return low - PRINTED_DIGIT <= at.f1 <= high + PRINTED_DIGIT


def _row(line: dict[str, str]) -> Published:
    def number(name: str) -> float | None:
        return float(line[name]) if line[name] else None

    return Published(
        **{name: line[name] for name in ("source", "data", "setting", "method", "backbone", "protocol")},
        at_k=tuple(
            AtK(int(line[f"k{i}"]), number(f"p{i}"), number(f"r{i}"), number(f"f1_{i}"))
            for i in (1, 2)
            if line[f"k{i}"]
        ),
        mean_average_precision=number("map"),
    )
