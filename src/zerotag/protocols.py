"""Protocols: which images, labels and annotations count, and how; every report says which one was used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int8

from zerotag.errors import ZerotagError
from zerotag.labels import LabelSet
from zerotag.metrics import (
    PrecisionRecallF1,
    average_precision,
    expected_average_precision,
    precision_recall_f1,
    precision_recall_f1_at_k,
)


@dataclass(frozen=True)
class LabelFigures:
    """One label's figures; ``average_precision`` is None where no image is known to have it."""

    label: str
    seen: bool
    average_precision: float | None
    num_positives: int


@dataclass(frozen=True)
class Chance:
    """What a random order gets on the same images and labels: exact expectations, nothing is drawn."""

    mean_average_precision: float
    at_k: dict[int, PrecisionRecallF1]


@dataclass(frozen=True)
class Report:
    """Figures of one setting under one protocol, as shares in [0, 1].

    Attributes:
        protocol: name of the protocol.
        setting: "zsl", "gzsl" or "multilabel".
        num_images: N, the images counted.
        num_dropped: images that the protocol leaves out.
        num_labels: how many labels are ranked.
        labels_without_positives: how many of them no image has; they are left out of the mean.
        mean_average_precision: over the other labels.
        at_k: precision, recall and F1 of each image's K best labels.
        positives_per_image: Q, the mean number of positives of an image. It is K·P/R for every K and every method;
            figures in which that changes were not counted on the same images.
        chance: the same figures of a random order.
        per_label: in the order of the columns.
    """

    protocol: str
    setting: str
    num_images: int
    num_dropped: int
    num_labels: int
    labels_without_positives: int
    mean_average_precision: float
    at_k: dict[int, PrecisionRecallF1]
    positives_per_image: float
    chance: Chance
    per_label: tuple[LabelFigures, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, which turns the keys K into text."""
        plain = asdict(self)
        plain["at_k"] = {k: figures._asdict() for k, figures in self.at_k.items()}
        plain["chance"]["at_k"] = {k: figures._asdict() for k, figures in self.chance.at_k.items()}
        return plain


def evaluate(
    scores: Float[np.ndarray, "n c"],
    annotations: Int8[np.ndarray, "_ _"],
    labels: LabelSet,
    *,
    setting: str,
    ks: Sequence[int] = (3, 5),
) -> Report:
    """Figures under protocol ``paper``.

    No image is dropped. A label's average precision is taken over the images where it is annotated, equal scores
    as in scikit-learn; labels without a positive image are left out of the mean and counted. Precision, recall and F1
    are micro over all images; unknown labels are neither hit nor miss, and of equal scores the first label is taken.

    Args:
        scores: of N images by all labels, seen then unseen.
        annotations: 1 positive, −1 negative, 0 unknown, in the same rows and columns.
        labels: names of the columns.
        setting: "zsl" ranks the unseen labels, "gzsl" all, "multilabel" all where all are seen.
        ks: how many of an image's best labels are counted; one larger than the number of labels ranked is left out.

    Raises:
        ZerotagError: shapes, values, setting or ks do not fit, or no image has a label.
    """
    _check(scores, annotations, labels)
    ranked = labels.ranked(setting)
    scores, annotations = scores[:, ranked], annotations[:, ranked]
    positives, known = annotations == 1, annotations != 0
    ks = [k for k in ks if k <= scores.shape[1]]
    num_positives, num_known = positives.sum(0), known.sum(0)
    if not num_positives.any():
        raise ZerotagError(
            f"none of the {len(scores)} images has one of the {len(num_positives)} labels of setting '{setting}', "
            "so there is nothing to find; look at the annotations of the test images"
        )
    precisions = average_precision(scores, positives, known)
    return Report(
        protocol="paper",
        setting=setting,
        num_images=len(scores),
        num_dropped=0,
        num_labels=len(num_positives),
        labels_without_positives=int((num_positives == 0).sum()),
        mean_average_precision=float(np.nanmean(precisions)),
        at_k={k: precision_recall_f1_at_k(scores, positives, k, known) for k in ks},
        positives_per_image=float(num_positives.sum() / len(scores)),
        chance=Chance(
            float(np.nanmean(expected_average_precision(num_positives, num_known))),
            {k: _chance_at_k(positives.sum(1), known.sum(1), k) for k in ks},
        ),
        per_label=tuple(
            LabelFigures(label, label in seen, float(precision) if number else None, int(number))
            for seen in [set(labels.seen)]
            for label, precision, number in zip(labels.all[ranked], precisions, num_positives, strict=True)
        ),
    )


def _chance_at_k(num_positives: np.ndarray, num_known: np.ndarray, k: int) -> PrecisionRecallF1:
    """Means over all orders of each image's known labels; the figures are proportional to the number of hits."""
    hits = np.minimum(k, num_known) * num_positives / np.maximum(num_known, 1)
    return precision_recall_f1(float(hits.sum()), k * len(num_known), int(num_positives.sum()))


def _check(scores: np.ndarray, annotations: np.ndarray, labels: LabelSet) -> None:
    expected = (len(scores), len(labels.all))
    if scores.shape != expected or annotations.shape != expected:
        raise ZerotagError(
            f"{len(labels.all)} labels need as many columns of scores and annotations, and both need as many images; "
            f"scores are {scores.shape}, annotations {annotations.shape}"
        )
    if annotations.min(initial=0) < -1 or annotations.max(initial=0) > 1:
        wrong = sorted(set(np.unique(annotations).tolist()) - {-1, 0, 1})
        raise ZerotagError(
            f"annotations are 1 (positive), -1 (negative) or 0 (unknown), but some are {', '.join(map(str, wrong))}"
        )
