"""LabelEM: a bilinear compatibility of an image and a label's vector."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from zerotag.losses import weighted_rank
from zerotag.models.base import FeatureMaps, TaggingModel, register
from zerotag.models.layers import GlobalFeature


@register("labelem")
class LabelEM(TaggingModel):
    """Label-Embedding for Image Classification (ALE), Akata, Perronnin, Harchaoui and Schmid, TPAMI 2016.

    F(x, c) = xᵀ V v_c: S = Vᵀx is one vector, and the score a dot product. The weighted approximate ranking objective
    asks each positive label to lead all negative ones by a margin of 1.

    Departure: the paper samples a violator at each step; here all of them are counted, which is what it estimates.

    Args:
        channels: number of channels of the backbone's maps by stride.
        vector_dim: length D of a label vector.
    """

    def __init__(self, channels: dict[int, int], vector_dim: int) -> None:
        super().__init__(channels, vector_dim)
        self.feature = GlobalFeature(channels)
        self.strides_read = (self.feature.stride,)
        self.projection = nn.Linear(self.feature.width, vector_dim, bias=False)

    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b 1 d"]:
        """The image in the space of label vectors."""
        vector: Tensor = self.projection(self.feature(feature_maps))
        return vector[:, None]

    def loss(
        self, output: Float[Tensor, "b 1 d"], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """The mean over the batch."""
        return weighted_rank(self.score(output, W), positives).mean()
