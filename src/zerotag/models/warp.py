"""WARP: a linear scorer for each label, trained to rank with sampled violators."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from zerotag.losses import warp
from zerotag.models.base import ClosedSetModel, FeatureMaps, register
from zerotag.models.layers import global_average


@register("warp")
class WARP(ClosedSetModel):
    """Deep convolutional ranking for multilabel image annotation, Gong, Jia, Leung, Toshev and Ioffe, ICLR 2014.

    A linear scorer for each label on the global feature, trained with the weighted approximate-rank pairwise loss: each
    positive label is to lead by a margin of 1, and errors weigh more the lower it ranks.

    Args:
        channels: number of channels of the backbone's maps by stride.
        vector_dim: length D of a label vector; labels are told apart by them, nothing else.
    """

    def meet_labels(self, W: Float[Tensor, "c d"]) -> None:
        """Lay out a scorer for each label."""
        super().meet_labels(W)
        self.classifier = nn.Linear(self.channels[32], len(W))

    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b 1 e"]:
        """The global feature."""
        return global_average(feature_maps)[:, None]

    def logits(self, S: Float[Tensor, "b 1 e"]) -> Float[Tensor, "b k"]:
        """The scorers' outputs."""
        logits: Tensor = self.classifier(S[:, 0])
        return logits

    def loss(
        self, output: Float[Tensor, "b 1 e"], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """The mean over the batch."""
        return warp(self.score(output, W), positives).mean()
