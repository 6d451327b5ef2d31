"""How well scores rank labels: pure functions on arrays of images by labels, exact, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Integer

from zerotag.errors import ZerotagError

ENTRIES_AT_ONCE = 2**21
FOLDED = 4
Array = np.ndarray
Ties = Literal["together", "first", "last"]


class PrecisionRecallF1(NamedTuple):
    """Shares in [0, 1]; F1 is the harmonic mean of the other two."""

    precision: float
    recall: float
    f1: float


def average_precision(
    scores: Float[Array, "n c"],
    positives: Bool[Array, "_ _"],
    known: Bool[Array, "_ _"] | None = None,
    *,
    ties: Ties = "together",
) -> Float64[Array, " c"]:
    """Average precision of each label over the images where it is known; NaN for a label without positives.

    The mean over positives of the precision among all images that rank at least as high. Labels are taken in blocks of
    ``ENTRIES_AT_ONCE`` scores (or one label); temporaries stay below 64 bytes for each of these.

    Args:
        scores: of N images by C labels.
        positives: which labels an image has, [N, C].
        known: which labels of an image were annotated, [N, C]; all when left out.
        ties: images of equal score come "together", as in scikit-learn, so that the order of images is of no matter;
            or the "first" or the "last" of them ranks highest, as in code that walks through a sorted list.

    Raises:
        ZerotagError: the shapes differ, scores are not finite, or there are 2³¹ images or more.
    """
    _check(scores, positives, known)
    if len(scores) >= 2**31:
        raise ZerotagError(f"average precision is taken over at most 2^31 - 1 images, and there are {len(scores)}")
    found = [np.empty(0)]
    for block in _blocks(scores.shape[1], scores.shape[0]):
        some, right, chosen = scores[:, block].T, positives[:, block].T, None if known is None else known[:, block].T
        if chosen is not None and 2 * np.count_nonzero(chosen) < chosen.size:
            some, right, chosen = _known_alone(some, right, chosen)
        found.append(_average_precision(some, right, chosen, ties))
    return np.concatenate(found)


def _known_alone(scores: Array, positives: Array, known: Array) -> tuple[Array, Array, Array]:
    """The images where a label is known moved to the front, in their order, and the width cut to the most of them."""
    chosen, num_images = np.flatnonzero(known), known.shape[1]
    label, place, number = _places(chosen // num_images, len(known))
    shape = len(known), number.max(initial=0)
    moved = tuple(np.zeros(shape, array.dtype) for array in (scores, positives, known))
    for array, source in zip(moved, (scores, positives, known), strict=True):
        array[label, place] = source[label, chosen % num_images]
    return moved[0], moved[1], moved[2]


def _places(row: Array, num_rows: int) -> tuple[Array, Array, Array]:
    """For entries ordered by row: the row, the place of each within its row, and how many a row has."""
    number = np.bincount(row, minlength=num_rows)
    return row, np.arange(len(row)) - (np.cumsum(number) - number)[row], number


def _average_precision(scores: Array, positives: Array, known: Array | None, ties: Ties) -> Array:
    """The same for one block of labels by images.

    One number holds a score's rank (upper half), and below it the place of the image and whether it is a hit; so
    sorting numbers sorts all of it. Unknown images stand at the end, where nothing is a hit.
    """
    num_labels, num_images = scores.shape
    hit = positives if known is None else positives & known
    entry = _descending(scores).astype(np.int64)
    entry <<= 32
    if ties == "together":
        entry |= hit  # a hit comes last among equals, so the last of them says where they end
    else:
        place = np.arange(num_images) << 1
        entry |= (place if ties == "first" else place[::-1]) | hit
    if known is not None:
        entry[~known] = np.iinfo(np.int64).max - 1
    entry.sort(1)
    label, index = (entry & 1).astype(bool).nonzero()
    number = np.bincount(label, minlength=num_labels)
    hits_so_far = np.arange(1, len(label) + 1) - (np.cumsum(number) - number)[label]
    if ties == "together":
        score = entry[label, index]
        last = np.append((label[1:] != label[:-1]) | (score[1:] != score[:-1]), np.ones(min(1, len(label)), bool))
        label, index, hits_so_far = label[last], index[last], hits_so_far[last]
    gained = np.where(np.diff(label, prepend=-1), hits_so_far, np.diff(hits_so_far, prepend=0))
    summed = np.bincount(label, gained * hits_so_far / (index + 1), minlength=num_labels)
    with np.errstate(invalid="ignore"):
        return summed / number


def _descending(scores: Array) -> Array:
    """Integers of 32 bits, the smaller the higher the score, and equal where scores are equal."""
    if scores.dtype == np.float32 or scores.dtype == np.float16:
        bits = np.subtract(0, scores, dtype=np.float32, order="C").view(np.int32)  # 0 - x knows no negative zero
        bits ^= (bits >> 31) & np.int32(2**31 - 1)
        return bits
    order = (-scores).argsort(1)
    ordered = np.take_along_axis(scores, order, 1)
    step = np.zeros(scores.shape, np.int32)
    step[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    rank = np.empty_like(step)
    np.put_along_axis(rank, order, step.cumsum(1, dtype=np.int32), 1)
    return rank


def precision_recall_f1_at_k(
    scores: Float[Array, "n c"],
    positives: Bool[Array, "_ _"],
    k: int,
    known: Bool[Array, "_ _"] | None = None,
) -> PrecisionRecallF1:
    """Precision, recall and F1 of each image's k best labels, micro-averaged over all N images.

    P = hits / (N·k) and R = hits / number of positives, with the hits of :func:`hits_at_k`. An image with fewer than k
    known labels still counts k in P. Without any positive R is NaN.

    Args:
        scores: of N images by C labels.
        positives: which labels an image has, [N, C].
        k: how many labels of an image are taken.
        known: which labels of an image were annotated, [N, C]; all when left out.

    Raises:
        ZerotagError: the shapes differ, scores are not finite, there is no image, or k is not in 1..C.
    """
    hits = hits_at_k(scores, positives, k, known)
    if not len(scores):
        raise ZerotagError(f"precision at {k} needs at least one image, and there are none")
    num_positives = int((positives if known is None else positives & known).sum())
    return precision_recall_f1(hits, len(scores) * k, num_positives)


def hits_at_k(
    scores: Float[Array, "n c"],
    positives: Bool[Array, "_ _"],
    k: int,
    known: Bool[Array, "_ _"] | None = None,
) -> int:
    """How many of the images' k best labels are right; among equal scores the label that comes first is taken.

    Unknown labels are left out of an image's ranking, so they are neither hit nor miss. Images are taken in blocks of
    ``ENTRIES_AT_ONCE`` scores (or one image); temporaries stay below 64 bytes for each of these.

    Args:
        scores: of N images by C labels.
        positives: which labels an image has, [N, C].
        k: how many labels of an image are taken.
        known: which labels of an image were annotated, [N, C]; all when left out.

    Raises:
        ZerotagError: the shapes differ, scores are not finite, or k is not in 1..C.
    """
    _check(scores, positives, known)
    num_images, num_labels = scores.shape
    if not 1 <= k <= num_labels:
        raise ZerotagError(
            f"the best {k} labels were asked for, but {num_labels} are ranked; k must be 1 to {num_labels}"
        )
    hits = 0
    for block in _blocks(num_images, num_labels):
        if known is None:
            hits += _hits_at_k(scores[block], positives[block], k)
        else:
            ranked = np.where(known[block], scores[block], -np.inf).astype(scores.dtype, copy=False)
            hits += _hits_at_k(ranked, positives[block] & known[block], k)
    return hits


def _hits_at_k(scores: Array, hit: Array, k: int) -> int:
    """The same for one block: only the few hits are looked at, and equal scores only where a hit is among them."""
    kth = _kth_best(scores, k)
    flat = np.flatnonzero(hit)
    image, of_hit = flat // scores.shape[1], scores.reshape(-1)[flat]
    level = np.unique(image[of_hit == kth[image]])
    equal = scores[level] == kth[level, None]
    taken = k - (scores[level] > kth[level, None]).sum(1, keepdims=True)
    return int((of_hit > kth[image]).sum() + (equal & (equal.cumsum(1) <= taken) & hit[level]).sum())


def _kth_best(scores: Array, k: int) -> Array:
    """The k-th best score of each image.

    The row is folded, the better of two kept, until a few times k are left. The k-th best of these is no better than
    that of all, so only scores that reach it, a few more than k, need be looked at again.
    """
    num_images, num_labels = scores.shape
    folded = scores
    while folded.shape[1] >= FOLDED * 2 * k:
        half = (folded.shape[1] + 1) // 2
        left, right = folded[:, :half].copy(), folded[:, half:]
        np.maximum(left[:, : right.shape[1]], right, out=left[:, : right.shape[1]])
        folded = left
    bound = np.partition(folded, -k, axis=1)[:, -k]
    if folded is scores:
        return bound
    flat = np.flatnonzero(scores >= bound[:, None])
    image, place, number = _places(flat // num_labels, num_images)
    candidates = np.full((num_images, number.max(initial=k)), -np.inf, scores.dtype)
    candidates[image, place] = scores.reshape(-1)[flat]
    return np.partition(candidates, -k, axis=1)[:, -k]


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
