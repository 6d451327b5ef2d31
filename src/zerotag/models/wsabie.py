"""WSABIE: images and labels in one space of few dimensions, trained to rank with sampled violators."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from zerotag.losses import warp
from zerotag.models.base import ClosedSetModel, FeatureMaps, register
from zerotag.models.layers import GlobalFeature


@register("wsabie")
class WSABIE(ClosedSetModel):
    """WSABIE: Scaling Up To Large Vocabulary Image Annotation, Weston, Bengio and Usunier, IJCAI 2011.

    f_c(x) = ⟨V x, w_c⟩ in a space of low dimension that images and labels learn together; loss WARP.

    Departure: weights are decayed by the optimiser, where the paper bounds the norm of each column.

    Args:
        channels: number of channels of the backbone's maps by stride.
        vector_dim: length D of a label vector; labels are told apart by them, nothing else.
        dim: of the joint space.
    """

    def __init__(self, channels: dict[int, int], vector_dim: int, *, dim: int = 100) -> None:
        super().__init__(channels, vector_dim)
        self.feature = GlobalFeature(channels)
        self.strides_read = (self.feature.stride,)
        self.projection = nn.Linear(self.feature.width, dim, bias=False)

    def meet_labels(self, W: Float[Tensor, "c d"]) -> None:
        """Lay out a vector of the joint space for each label."""
        super().meet_labels(W)
        dim = self.projection.out_features
        self.label_embedding = nn.Parameter(torch.randn(len(W), dim) / dim**0.5)

    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b 1 e"]:
        """The image in the joint space."""
        vector: Tensor = self.projection(self.feature(feature_maps))
        return vector[:, None]

    def logits(self, S: Float[Tensor, "b 1 e"]) -> Float[Tensor, "b k"]:
        """Dot products with the labels' vectors."""
        return S[:, 0] @ self.label_embedding.T

    def loss(
        self, output: Float[Tensor, "b 1 e"], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """The mean over the batch."""
        return warp(self.score(output, W), positives).mean()
