"""Attention per label: each label looks at the regions that fit its own vector."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from zerotag.losses import hinge_rank
from zerotag.models.base import FeatureMaps, TaggingModel, register
from zerotag.models.layers import LesaRegions, scored_in_blocks


@register("attention_per_label")
class AttentionPerLabel(TaggingModel):
    """An attention of its own for each label, after Kim, Jun and Zhang, Bilinear Attention Networks, NeurIPS 2018.

    A baseline of LESA (Huynh and Elhamifar, CVPR 2020): α_c = softmax over regions of v_cᵀ W_a h_r, and
    s_c = ⟨Σ_r α_cr W h_r, v_c⟩. S holds what an attention is found from, W_a h_r, and after it the values W h_r, so
    labels may still be added without the picture. Loss: hinge rank.

    Labels are scored in blocks: memory is bounded whatever their number.

    Args:
        channels: number of channels of the backbone's maps by stride.
        vector_dim: length D of a label vector.
        strides: of the maps that are read.
        grid: side to which they are brought; its cells are the regions.
        width: channels of the region features.
    """

    has_heat_maps = True

    def __init__(
        self,
        channels: dict[int, int],
        vector_dim: int,
        *,
        strides: Sequence[int] = (16,),
        grid: int = 14,
        width: int = 512,
    ) -> None:
        super().__init__(channels, vector_dim)
        self.regions = LesaRegions(channels, strides, grid, width)
        self.strides_read = self.regions.strides
        self.key = nn.Linear(width, vector_dim, bias=False)
        self.value = nn.Linear(width, vector_dim, bias=False)

    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b r2 d"]:
        """Keys of all regions, then their values."""
        h = self.regions(feature_maps)
        return torch.cat([self.key(h), self.value(h)], 1)

    def score(self, S: Float[Tensor, "b r2 d"], W: Float[Tensor, "c d"]) -> Float[Tensor, "b c"]:
        """Each label's own mean of the matches of the regions."""
        return scored_in_blocks(lambda block: self._matches(S, block).sum(1), W, S.shape[0] * S.shape[1])

    def loss(
        self, output: Float[Tensor, "b r2 d"], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """The mean over the batch."""
        return hinge_rank(self.score(output, W), positives).mean()

    def position_scores(self, feature_maps: FeatureMaps, W: Float[Tensor, "*b c d"]) -> Float[Tensor, "b c h w"]:
        """What each region gives to the score of each label."""
        return self._matches(self.embed(feature_maps), W).transpose(1, 2).unflatten(2, (self.regions.grid, -1))

    def _matches(self, S: Float[Tensor, "b r2 d"], W: Float[Tensor, "*b c d"]) -> Float[Tensor, "b r c"]:
        """Matches of the regions, each weighted by the label's attention to it."""
        logits, matches = (S @ W.mT).chunk(2, 1)
        return logits.softmax(1) * matches
