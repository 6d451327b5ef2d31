"""Scores judged by a protocol: the figures of one setting, from arrays in memory or mapped from disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int8
from scipy.sparse import csr_array

from zerotag.errors import ZerotagError
from zerotag.labels import LabelSet
from zerotag.memory import forget_pages
from zerotag.metrics import (
    PrecisionRecallF1,
    average_precision,
    expected_average_precision,
    hits_at_k,
    precision_recall_f1,
)
from zerotag.protocols import Protocol, protocol_named

IMAGE_BLOCK, LABEL_BLOCK = 2**21, 2**24
LARGEST_POOLS = 10**10


@dataclass(frozen=True)
class LabelFigures:
    """One label's figures; ``average_precision`` is None where the label is left out of the mean."""

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
        labels_without_positives: how many of them no image has; the protocol leaves them out of the mean, or counts
            them as 0.
        ties: what becomes of equal scores.
        mean_average_precision: over the labels that are not left out.
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
    ties: str
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
    protocol: str = "paper",
) -> Report:
    """Figures of one setting under a protocol.

    Arrays that are mapped from disk are read in blocks and their pages given back, so that memory stays below 1 GB
    for a hundred thousand images, whatever the number of labels.

    Args:
        scores: of N images by all labels, seen then unseen.
        annotations: 1 positive, −1 negative, 0 unknown, in the same rows and columns.
        labels: names of the columns.
        setting: "zsl" ranks the unseen labels, "gzsl" all, "multilabel" all where all are seen.
        ks: how many of an image's best labels are counted; one larger than the number of labels ranked is left out.
        protocol: a name in :data:`zerotag.protocols.PROTOCOLS`.

    Raises:
        ZerotagError: shapes, values, setting, protocol or ks do not fit, or no image has a label.
    """
    rules = protocol_named(protocol)
    _check_shapes(scores, annotations, labels)
    ranked = labels.ranked(setting)
    order = rules.order_of_equals(labels, ranked)
    counts = _Counts(rules, len(order), [k for k in ks if k <= len(order)])
    for rows in _blocks(len(scores), scores.shape[1], IMAGE_BLOCK):
        counts.add(_finite(scores[rows, order], rows.start), _checked(annotations[rows, order]))
        forget_pages(scores, annotations)
    in_order = np.argsort(order)
    num_positives, num_known = counts.num_positives[in_order], counts.num_known[in_order]
    if not num_positives.any():
        raise ZerotagError(
            f"none of the {len(scores)} images has one of the {len(order)} labels of setting '{setting}', "
            "so there is nothing to find; look at the annotations of the test images"
        )
    kept = counts.kept()
    columns = np.arange(len(labels.all))[ranked]
    if rules.pooled:
        precisions, expected = _pooled(scores, annotations, kept, columns, rules)
    else:
        precisions = _by_label(scores, annotations, kept, columns, rules)
        base = np.full_like(num_known, len(kept)) if rules.unknown_is_negative else num_known
        expected = expected_average_precision(num_positives, base)
    left_out = np.isnan(precisions)
    if rules.zero_without_positives:
        left_out = (num_known == 0) if rules.pooled and setting != "zsl" else np.zeros_like(left_out)
        precisions, expected = np.nan_to_num(precisions), np.nan_to_num(expected)
    total = int(num_positives.sum())
    return Report(
        protocol=rules.name,
        setting=setting,
        num_images=len(kept),
        num_dropped=len(scores) - len(kept),
        num_labels=len(columns),
        labels_without_positives=int((num_positives == 0).sum()),
        ties=rules.ties_explained(),
        mean_average_precision=float(precisions[~left_out].mean()),
        at_k={k: precision_recall_f1(hits, k * len(kept), total) for k, hits in counts.hits.items()},
        positives_per_image=total / len(kept),
        chance=Chance(
            float(expected[~left_out].mean()),
            {k: precision_recall_f1(hits, k * len(kept), total) for k, hits in counts.expected_hits.items()},
        ),
        per_label=tuple(
            LabelFigures(label, label in seen, None if out else float(precision), int(number))
            for seen in [set(labels.seen)]
            for label, precision, out, number in zip(
                labels.all[ranked], precisions, left_out, num_positives, strict=True
            )
        ),
    )


class _Counts:
    """What is counted image by image: which ones are kept, hits among their best labels, annotations of each label."""

    def __init__(self, rules: Protocol, num_labels: int, ks: Sequence[int]) -> None:
        self.rules = rules
        self.hits, self.expected_hits = dict.fromkeys(ks, 0), dict.fromkeys(ks, 0.0)
        self.num_positives, self.num_known = np.zeros(num_labels, np.int64), np.zeros(num_labels, np.int64)
        self._kept: list[np.ndarray] = []

    def add(self, scores: np.ndarray, annotations: np.ndarray) -> None:
        """Count a block of images."""
        keep = np.ones(len(scores), bool)
        if self.rules.drops_images_without_positives:
            keep = (annotations == 1).any(1)
            scores, annotations = scores[keep], annotations[keep]
        self._kept.append(keep)
        positives, known = annotations == 1, annotations != 0
        self.num_positives += positives.sum(0)
        self.num_known += known.sum(0)
        ranked = np.full(len(scores), scores.shape[1]) if self.rules.unknown_is_miss else known.sum(1)
        for k in self.hits:
            self.hits[k] += hits_at_k(scores, positives, k, None if self.rules.unknown_is_miss else known)
            # the mean over all orders of the labels that an image is ranked by
            self.expected_hits[k] += float((np.minimum(k, ranked) * positives.sum(1) / np.maximum(ranked, 1)).sum())

    def kept(self) -> np.ndarray:
        """Rows of the images counted."""
        return np.flatnonzero(np.concatenate(self._kept))


def _by_label(
    scores: np.ndarray, annotations: np.ndarray, kept: np.ndarray, columns: np.ndarray, rules: Protocol
) -> np.ndarray:
    found = []
    for block in _blocks(len(columns), len(kept), LABEL_BLOCK):
        annotated = _taken(annotations, kept, columns[block])
        known = None if rules.unknown_is_negative else annotated != 0
        chosen = _taken(scores, kept, columns[block])
        found.append(average_precision(chosen, annotated == 1, known, ties=rules.ties))
    return np.concatenate(found)


def _taken(array: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Some rows of some columns that lie side by side, read so that few pages of a file are held at once."""
    taken = np.empty((len(rows), len(columns)), array.dtype)
    for block in _blocks(len(rows), array.shape[1], IMAGE_BLOCK):
        taken[block] = array[rows[block], columns[0] : columns[-1] + 1]
        forget_pages(array)
    return taken


def _pooled(
    scores: np.ndarray, annotations: np.ndarray, kept: np.ndarray, columns: np.ndarray, rules: Protocol
) -> tuple[np.ndarray, np.ndarray]:
    """Average precision, and its expectation, of each label's pool; NaN for a label without annotated images.

    A label's pool has images of its own, so labels come one at a time. Memory: 17 bytes an annotated entry.
    """
    rows, places, values, positive = [], [], [], []
    for block in _blocks(len(kept), scores.shape[1], IMAGE_BLOCK):
        some = annotations[kept[block], columns[0] : columns[-1] + 1]
        row, place = some.nonzero()
        rows.append(row + block.start)
        places.append(place)
        positive.append(some[row, place] == 1)
        values.append(scores[kept[block], columns[0] : columns[-1] + 1][row, place])
        forget_pages(scores, annotations)
    entries = np.bincount(np.concatenate(rows), minlength=len(kept)).astype(float)
    if (entries**2).sum() > LARGEST_POOLS:
        raise ZerotagError(
            f"protocol '{rules.name}' pools all that is annotated of a label's images, anew for each label; meant "
            f"for images with few annotated labels, while these have {entries.mean():.0f} each; choose another protocol"
        )
    at, shape = (np.concatenate(rows), np.concatenate(places)), (len(kept), len(columns))
    # a pool is cut from numbers of entries, since a score may be 0, which sparse arrays forget
    number = csr_array((np.arange(1, len(at[0]) + 1), at), shape)
    by_label = number.tocsc()
    value, hit = np.concatenate(values), np.concatenate(positive)
    found, expected = np.full((2, len(columns)), np.nan)
    for c in range(len(columns)):
        images = by_label.indices[by_label.indptr[c] : by_label.indptr[c + 1]]
        pool = number[images].data - 1
        if len(pool):
            (found[c],) = average_precision(value[pool, None], hit[pool, None], ties=rules.ties)
            (expected[c],) = expected_average_precision(np.array([hit[pool].sum()]), np.array([len(pool)]))
    return found, expected


def _blocks(length: int, width: int, entries: int) -> list[slice]:
    step = max(1, entries // max(1, width))
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def _check_shapes(scores: np.ndarray, annotations: np.ndarray, labels: LabelSet) -> None:
    expected = (len(scores), len(labels.all))
    if scores.shape != expected or annotations.shape != expected:
        raise ZerotagError(
            f"{len(labels.all)} labels need as many columns of scores and annotations, and both need as many images; "
            f"scores are {scores.shape}, annotations {annotations.shape}"
        )


def _checked(annotations: np.ndarray) -> np.ndarray:
    if annotations.min(initial=0) < -1 or annotations.max(initial=0) > 1:
        wrong = sorted(set(np.unique(annotations).tolist()) - {-1, 0, 1})
        raise ZerotagError(
            f"annotations are 1 (positive), -1 (negative) or 0 (unknown), but some are {', '.join(map(str, wrong))}"
        )
    return annotations


def _finite(scores: np.ndarray, first: int) -> np.ndarray:
    if not (finite := np.isfinite(scores)).all():
        row = int(np.flatnonzero(~finite.all(1))[0])
        raise ZerotagError(
            f"image {first + row + 1} has {(~finite[row]).sum()} scores that are no finite numbers, so its labels have "
            "no order; look at the model that gave them, whose weights may be damaged"
        )
    return scores
