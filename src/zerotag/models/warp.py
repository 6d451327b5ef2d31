"""WARP: a linear scorer for each label, trained to rank with sampled violators."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from zerotag.losses import warp
from zerotag.models.base import register
from zerotag.models.logistic import Logistic


@register("warp")
class WARP(Logistic):
    """Deep convolutional ranking for multilabel image annotation, Gong, Jia, Leung, Toshev and Ioffe, ICLR 2014.

    The linear scorers of ``logistic``, trained with the weighted approximate-rank pairwise loss: each positive label is
    to lead by a margin of 1, and errors weigh more the lower it ranks.

    Args:
        channels: number of channels of the backbone's maps by stride.
        vector_dim: length D of a label vector; labels are told apart by them, nothing else.
    """

    def loss(
        self, output: Float[Tensor, "b 1 e"], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """The mean over the batch."""
        return warp(self.score(output, W), positives).mean()
