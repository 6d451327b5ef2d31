"""Mean average precision on test pictures drawn anew, to tell what a difference between two methods is worth."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float, Float64, Int

STREAM = 11


def resampled_map(
    scores: Float[np.ndarray, "n c"],
    positives: Bool[np.ndarray, "n c"],
    known: Bool[np.ndarray, "n c"],
    draws: Int[np.ndarray, "b n"],
) -> Float64[np.ndarray, " b"]:
    """Mean average precision of each of B resamples, images of equal score together, as in ``average_precision``.

    Images are ranked once for each label; a resample is how often each image counts. Labels without a positive image
    in a resample are left out of its mean. Temporaries stay below 24 bytes for each score.

    Args:
        scores: of N images by C labels.
        positives: which labels an image has.
        known: which labels of an image were annotated.
        draws: how often each image was drawn, a row a resample.
    """
    key = np.where(known, -scores, np.inf).T
    order = key.argsort(1, kind="stable")
    key = np.take_along_axis(key, order, 1)
    counted = np.take_along_axis(known.T, order, 1)
    hit = np.take_along_axis((positives & known).T, order, 1)
    label, rank = hit.nonzero()
    end = _ends_of_equals(key)[label, rank]
    image = order[label, rank]
    # among a label's positives, in order of rank, the last one whose score is the same
    last = np.searchsorted(label * key.shape[1] + end, label * key.shape[1] + end, side="right") - 1
    first_of_label = np.searchsorted(label, np.arange(len(hit)))
    found = np.empty(len(draws))
    for b, drawn in enumerate(draws):
        weight = drawn[order]
        if not counted.all():
            weight = weight * counted
        images_so_far = weight.cumsum(1, dtype=np.int32)[label, end]
        own = drawn[image]
        hits_so_far = np.r_[0, own.cumsum()]
        precision = (hits_so_far[last + 1] - hits_so_far[first_of_label[label]]) / np.maximum(images_so_far, 1)
        num_positives = np.bincount(label, own, minlength=len(hit))
        summed = np.bincount(label, own * precision, minlength=len(hit))
        some = num_positives > 0
        found[b] = (summed[some] / num_positives[some]).mean() if some.any() else np.nan
    return found


def draw_images(num_images: int, num_resamples: int, seed: int) -> Int[np.ndarray, "b n"]:
    """How often each image counts in each resample; the same for every method of one seed, so that they are paired."""
    random = np.random.default_rng([seed, STREAM])
    rows = np.stack(list(_rows(random, num_images, num_resamples)))
    return rows.astype(np.int32)


def _rows(random: np.random.Generator, num_images: int, num_resamples: int) -> Iterator[np.ndarray]:
    for _ in range(num_resamples):
        yield np.bincount(random.integers(0, num_images, num_images), minlength=num_images)


def _ends_of_equals(key: Float[np.ndarray, "c n"]) -> Int[np.ndarray, "c n"]:
    """For each place of a sorted row the last place that holds the same number."""
    places = np.broadcast_to(np.arange(key.shape[1]), key.shape)
    is_last = np.ones(key.shape, bool)
    np.not_equal(key[:, 1:], key[:, :-1], out=is_last[:, :-1])
    ends = np.where(is_last, places, key.shape[1])
    return np.minimum.accumulate(ends[:, ::-1], axis=1)[:, ::-1]
