"""Logistic: one logistic regression for each label."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from zerotag.models.base import ClosedSetModel, FeatureMaps, register
from zerotag.models.layers import GlobalFeature


@register("logistic")
class Logistic(ClosedSetModel):
    """Logistic regression on the global feature, one for each label, trained with binary cross-entropy.

    The first row of Table IV of GBE-MLZSL, where Durand, Mehrasa and Mori (CVPR 2019) are cited for it.

    Args:
        channels: number of channels of the backbone's maps by stride.
        vector_dim: length D of a label vector; labels are told apart by them, nothing else.
    """

    def __init__(self, channels: dict[int, int], vector_dim: int) -> None:
        super().__init__(channels, vector_dim)
        self.feature = GlobalFeature(channels)
        self.strides_read = (self.feature.stride,)

    def meet_labels(self, W: Float[Tensor, "c d"]) -> None:
        """Lay out a regression for each label."""
        super().meet_labels(W)
        self.classifier = nn.Linear(self.feature.width, len(W))

    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b 1 e"]:
        """The global feature."""
        return self.feature(feature_maps)[:, None]

    def logits(self, S: Float[Tensor, "b 1 e"]) -> Float[Tensor, "b k"]:
        """Of the probability that an image has a label."""
        logits: Tensor = self.classifier(S[:, 0])
        return logits

    def loss(
        self, output: Float[Tensor, "b 1 e"], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """Binary cross-entropy, mean over batch and labels."""
        scores = self.score(output, W)
        return F.binary_cross_entropy_with_logits(scores, positives.to(scores.dtype))
