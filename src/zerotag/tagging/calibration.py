"""From raw scores to confidences: how likely a label is right, each label for itself.

The logit of a confidence is linear in the raw score and in z, the score against the spread of the label's scores over
the folder, with another slope beyond two deviations. For a label that was trained and calibrated an offset and a slope
of its own are added, drawn towards zero. Labels that were never trained on have weights of their own, fitted to other
labels that were never trained on: a new word is treated as such words turned out to be.

Platt, Probabilistic outputs for support vector machines, 1999, is the case of one label, z alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.special import expit
from torch import Tensor

from zerotag.training.calibration_file import FILE, read_calibration_file
from zerotag.training.checkpoint import save_tensors

NONE = torch.zeros(0, 1, 1)


class Spread:
    """Mean and deviation of each label's scores over pictures, gathered block by block."""

    def __init__(self, num_labels: int) -> None:
        self.number = 0
        self.sums = np.zeros((2, num_labels))

    def add(self, scores: Float[np.ndarray, "b c"]) -> Spread:
        """Take in the scores of some pictures."""
        wide = scores.astype(np.float64)
        self.sums += np.stack([wide.sum(0), (wide**2).sum(0)])
        self.number += len(scores)
        return self

    @property
    def moments(self) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
        """Mean and standard deviation of each label."""
        mean, square = self.sums / max(self.number, 1)
        return mean, np.sqrt(np.maximum(square - mean**2, 1e-12))


def features(scores: Float[np.ndarray, "b c"], spread: Spread) -> Float[np.ndarray, "b c 4"]:
    """What a confidence is made from, for each picture and label; the second one is z."""
    mean, deviation = spread.moments
    z = np.clip((scores - mean) / deviation, -4, 12)
    return np.stack([np.ones_like(z), z, np.maximum(z - 2, 0), scores], axis=2)


@dataclass(frozen=True)
class Calibration:
    """What :func:`zerotag.tagging.calibrate.calibrate` found for a model.

    Attributes:
        labels: those that were trained and calibrated.
        own: offset and slope of each of them, [K, 2].
        trained: weights of the features for labels that were trained.
        untrained: and for all others.
        reference: semantic vectors of some of its pictures, which stand in for a folder where there is none.
    """

    labels: tuple[str, ...]
    own: Float[np.ndarray, "k 2"]
    trained: Float[np.ndarray, 4]
    untrained: Float[np.ndarray, 4]
    reference: Float[Tensor, "r n e"]

    def confidences(
        self, scores: Float[np.ndarray, "b c"], names: Sequence[str], spread: Spread
    ) -> Float[np.ndarray, "b c"]:
        """How likely each label is right for each picture, in [0, 1]."""
        known = {label: row for row, label in enumerate(self.labels)}
        rows = np.array([known.get(name, -1) for name in names])
        found = features(scores, spread)
        weights = np.where(rows[:, None] >= 0, self.trained, self.untrained)
        own = np.where(rows[:, None] >= 0, self.own[rows], 0)
        weights[:, :2] += own
        return expit(np.einsum("bcf,cf->bc", found, weights)).astype(np.float32)

    def save(self, folder: Path, weights: str) -> None:
        """Write it beside the model whose weights have the given digest."""
        arrays = {"own": self.own, "trained": self.trained, "untrained": self.untrained}
        tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        save_tensors(
            folder / FILE, tensors | {"reference": self.reference.half()}, {"labels": self.labels, "weights": weights}
        )


def read_calibration(folder: Path, weights: str) -> Calibration | None:
    """The calibration of a model; None where there is none, or it was made for other weights.

    Raises:
        ZerotagError: the file is damaged.
    """
    found = read_calibration_file(folder)
    if found is None or found[1].weights != weights:
        return None
    tensors, about = found
    reference = tensors.pop("reference").float()
    arrays = {name: tensor.double().numpy() for name, tensor in tensors.items()}
    return Calibration(tuple(about.labels), **arrays, reference=reference)


def expected_calibration_error(
    confidences: Float[np.ndarray, " m"], right: Bool[np.ndarray, " m"], bins: int = 15
) -> float:
    """Mean distance of confidence and share of right labels over bins of equal width, weighted by their numbers.

    Source: Guo et al., On calibration of modern neural networks, ICML 2017, eq. 3.
    """
    place = np.minimum((confidences * bins).astype(int), bins - 1)
    gap = np.bincount(place, confidences - right, minlength=bins)
    return float(np.abs(gap).sum() / max(len(confidences), 1))
