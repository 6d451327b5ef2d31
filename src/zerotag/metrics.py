"""How well scores rank labels: pure functions on arrays of images by labels, exact, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Integer

from zerotag.errors import ZerotagError

ENTRIES_AT_ONCE = 2**21
Array = np.ndarray


class PrecisionRecallF1(NamedTuple):
    """Shares in [0, 1]; F1 is the harmonic mean of the other two."""

    precision: float
    recall: float
    f1: float


def average_precision(
    scores: Float[Array, "n c"], positives: Bool[Array, "_ _"], known: Bool[Array, "_ _"] | None = None
) -> Float64[Array, " c"]:
    """Average precision of each label over the images where it is known; NaN for a label without positives.

    The mean over positives of the precision among all images that score at least as high: images of equal score
    come together, as in scikit-learn, so the order of images is of no matter. Labels are taken in blocks of
    ``ENTRIES_AT_ONCE`` scores (or one label); temporaries stay below 64 bytes for each of these.

    Args:
        scores: of N images by C labels.
        positives: which labels an image has, [N, C].
        known: which labels of an image were annotated, [N, C]; all when left out.

    Raises:
        ZerotagError: the shapes differ, or scores are not finite.
    """
    _check(scores, positives, known)
    found = [np.empty(0)]
    for block in _blocks(scores.shape[1], scores.shape[0]):
        chosen = None if known is None else known[:, block]
        found.append(_average_precision(scores[:, block], positives[:, block], chosen))
    return np.concatenate(found)


def _average_precision(scores: Array, positives: Array, known: Array | None) -> Array:
    """The same for one block; unknown images stand at the end of a label's row, where nothing is a hit."""
    key = _key(scores.T, None if known is None else known.T)
    hit = (positives if known is None else positives & known).T
    order = key.argsort(1)
    key = np.take_along_axis(key, order, 1)
    hits_so_far = np.take_along_axis(hit, order, 1).cumsum(1)
    last_of_equals = np.ones(key.shape, bool)
    np.not_equal(key[:, 1:], key[:, :-1], out=last_of_equals[:, :-1])
    label, rank = last_of_equals.nonzero()
    hits = hits_so_far[label, rank]
    hits_before = np.where(np.diff(label, prepend=-1), 0, np.r_[0, hits[:-1]])
    summed = np.bincount(label, (hits - hits_before) * hits / (rank + 1), minlength=len(hit))
    with np.errstate(invalid="ignore"):
        return summed / hit.sum(1)


def precision_recall_f1_at_k(
    scores: Float[Array, "n c"],
    positives: Bool[Array, "_ _"],
    k: int,
    known: Bool[Array, "_ _"] | None = None,
) -> PrecisionRecallF1:
    """Precision, recall and F1 of each image's k best labels, micro-averaged over all N images.

    P = hits / (N·k) and R = hits / number of positives. Among equal scores the label that comes first is taken.
    Unknown labels are left out of an image's ranking, so they are neither hit nor miss; an image with fewer than k
    known labels still counts k in P. Without any positive R is NaN. Images are taken in blocks of
    ``ENTRIES_AT_ONCE`` scores (or one image); temporaries stay below 64 bytes for each of these.

    Args:
        scores: of N images by C labels.
        positives: which labels an image has, [N, C].
        k: how many labels of an image are taken.
        known: which labels of an image were annotated, [N, C]; all when left out.

    Raises:
        ZerotagError: the shapes differ, scores are not finite, there is no image, or k is not in 1..C.
    """
    _check(scores, positives, known)
    num_images, num_labels = scores.shape
    if not num_images:
        raise ZerotagError(f"precision at {k} needs at least one image, and there are none")
    if not 1 <= k <= num_labels:
        raise ZerotagError(
            f"the best {k} labels were asked for, but {num_labels} are ranked; k must be 1 to {num_labels}"
        )
    hits = num_positives = 0
    for block in _blocks(num_images, num_labels):
        key = _key(scores[block], None if known is None else known[block])
        hit = positives[block] if known is None else positives[block] & known[block]
        num_positives += int(hit.sum())
        hits += int((_first_k(key, k) & hit).sum())
    return precision_recall_f1(hits, num_images * k, num_positives)


def precision_recall_f1(hits: int | float, num_chosen: int, num_positives: int) -> PrecisionRecallF1:
    """The three figures from counts; each is proportional to the number of hits. Recall is NaN without positives."""
    recall = hits / num_positives if num_positives else np.nan
    return PrecisionRecallF1(hits / num_chosen, recall, 2 * hits / (num_chosen + num_positives))


def expected_average_precision(
    num_positives: Integer[Array, " c"], num_known: Integer[Array, " c"]
) -> Float64[Array, " c"]:
    """The mean of average precision over all orders of the images, exact; NaN for a label without positives.

    (P−1)/(N−1) + (N−P)/(N(N−1))·H_N for P positives among N images, with H_N = 1 + 1/2 + ... + 1/N: the image at rank
    r is a positive with probability P/N, and each of the r−1 before it then with (P−1)/(N−1).

    Raises:
        ZerotagError: the shapes differ, or a label has more positives than images.
    """
    if num_positives.shape != num_known.shape or (num_positives > num_known).any():
        raise ZerotagError("each label needs a number of positives and a number of images that is no smaller")
    P, N = num_positives.astype(float), num_known.astype(float)
    harmonic = np.r_[0, np.cumsum(1 / np.arange(1, num_known.max(initial=0) + 1))][num_known]
    others = np.maximum(N - 1, 1)
    expected = np.where(N > 1, (P - 1) / others + (N - P) / (np.maximum(N, 1) * others) * harmonic, 1.0)
    return np.where(P > 0, expected, np.nan)


def _key(scores: Array, known: Array | None) -> Array:
    """Numbers that are smaller the earlier an entry ranks, infinite for unknown ones; rows lie together in memory."""
    key: Array = np.negative(scores, order="C")
    if known is not None:
        key[~known] = np.inf
    return key


def _first_k(key: Array, k: int) -> Array:
    """Which k entries of each row are the smallest; among equals the first ones."""
    kth = np.partition(key, k - 1, axis=1)[:, k - 1, None]
    ahead, level = key < kth, key == kth
    return ahead | (level & (level.cumsum(1) <= k - ahead.sum(1, keepdims=True)))


def _blocks(length: int, width: int) -> Iterator[slice]:
    step = max(1, ENTRIES_AT_ONCE // max(1, width))
    return (slice(start, start + step) for start in range(0, length, step))


def _check(scores: Array, positives: Array, known: Array | None) -> None:
    for name, array in (("positives", positives), ("known", known)):
        if array is not None and array.shape != scores.shape:
            raise ZerotagError(
                f"scores are {scores.shape} (images, labels), but {name} are {array.shape}; they must agree"
            )
    if not (np.isfinite(scores.min(initial=0)) and np.isfinite(scores.max(initial=0))):
        column = (~np.isfinite(scores)).sum(0)
        raise ZerotagError(
            f"{column.sum()} scores are no finite numbers, the first ones in column {np.flatnonzero(column)[0]} "
            "(counted from 0); look at the weights and the pictures they come from"
        )
