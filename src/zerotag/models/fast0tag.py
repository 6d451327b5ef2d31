"""Fast0Tag: one principal direction for each image."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Bool, Float
from torch import Tensor, nn

from zerotag.losses import ranknet
from zerotag.models.base import FeatureMaps, TaggingModel, register
from zerotag.models.layers import GlobalFeature


@register("fast0tag")
class Fast0Tag(TaggingModel):
    """Fast zero-shot image tagging, Zhang, Gong and Shah, CVPR 2016.

    A network maps the image's global feature x to a principal direction along which positive labels rank ahead of
    negative ones: S = f(x), score ⟨f(x), v_c⟩, RankNet loss divided by |T||T̄| (their eq. 6-8).

    x is the last hidden layer of the backbone's classifier, for VGG19 4096 activations as in the paper.

    Args:
        channels: number of channels of the backbone's maps by stride.
        vector_dim: length D of a label vector.
        hidden: widths of the hidden layers, each followed by ReLU and dropout.
        dropout: probability of dropping a hidden unit.
    """

    def __init__(
        self,
        channels: dict[int, int],
        vector_dim: int,
        *,
        hidden: Sequence[int] = (8192, 2048),
        dropout: float = 0.3,
    ) -> None:
        super().__init__(channels, vector_dim)
        self.feature = GlobalFeature(channels)
        self.strides_read = (self.feature.stride,)
        widths = [self.feature.width, *hidden]
        blocks = [
            nn.Sequential(nn.Linear(before, after), nn.ReLU(), nn.Dropout(dropout))
            for before, after in pairwise(widths)
        ]
        self.network = nn.Sequential(*blocks, nn.Linear(widths[-1], vector_dim))

    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b 1 d"]:
        """The principal direction of each image."""
        direction: Tensor = self.network(self.feature(feature_maps))
        return direction[:, None]

    def loss(
        self, output: Float[Tensor, "b 1 d"], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """RankNet over pairs of a positive and a negative label."""
        return ranknet(self.score(output, W), positives).mean()
