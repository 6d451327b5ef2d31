"""LESA: attentions over regions that all labels share; each label takes the one that fits it best."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from zerotag.losses import hinge_rank
from zerotag.models.base import FeatureMaps, TaggingModel, register
from zerotag.models.layers import LesaRegions, RegionAttention


@register("lesa")
class LESA(TaggingModel):
    """A Shared Multi-Attention Framework for Multi-Label Zero-Shot Learning, Huynh and Elhamifar, CVPR 2020.

    A 2x2 convolution with BatchNorm and ReLU gives region features h; M attentions over the regions, softmax of
    W₂ tanh(W₁ h), pool them into M features; these are mapped into the space of label vectors, and s_c is the best
    match among them. Loss, as in the authors' code: the hinge rank loss; plus ``distribution`` times the mean over
    images and attentions of (Σ over positives of the softmax over attentions)²; plus ``global_margin`` times
    Σ max(0, −y(s − s₀)), where s₀ comes from the average over regions and y is ±1; plus ``span`` times the Frobenius
    norm of the cosines between different attention logits of an image.

    Args:
        channels: number of channels of the backbone's maps by stride.
        vector_dim: length D of a label vector.
        num_attentions: M.
        strides: of the maps that are read.
        grid: side to which they are brought; its cells are the regions.
        width: channels of the region features.
        distribution: weight of its term.
        global_margin: weight of its term.
        span: weight of its term.
    """

    has_heat_maps = True

    def __init__(
        self,
        channels: dict[int, int],
        vector_dim: int,
        *,
        num_attentions: int = 10,
        strides: Sequence[int] = (16,),
        grid: int = 14,
        width: int = 512,
        distribution: float = 0.1,
        global_margin: float = 0.001,
        span: float = 0.01,
    ) -> None:
        super().__init__(channels, vector_dim)
        self.num_attentions = num_attentions
        self.distribution, self.global_margin, self.span = distribution, global_margin, span
        self.regions = LesaRegions(channels, strides, grid, width)
        self.strides_read = self.regions.strides
        self.attention = RegionAttention(width, num_attentions)
        self.projection = nn.Linear(width, vector_dim, bias=False)

    def forward(self, feature_maps: FeatureMaps) -> Float[Tensor, "b m1 e"]:
        """Beside each of the M vectors its attention logits; last the vector of the average, beside it zeros."""
        h = self.regions(feature_maps)
        logits = self.attention(h)
        pooled = torch.cat([logits.softmax(2) @ h, h.mean(1, keepdim=True)], 1)
        return torch.cat([self.projection(pooled), F.pad(logits, (0, 0, 0, 1))], 2)

    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b m d"]:
        """The M attended features in the space of label vectors."""
        return self(feature_maps)[:, :-1, : self.vector_dim]

    def loss(
        self, output: Float[Tensor, "b m1 e"], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """The rank loss and the three terms beside it."""
        matches = output[..., : self.vector_dim] @ W.T
        attended, average = matches[:, :-1], matches[:, -1]
        scores = attended.amax(1)
        shares = (attended.softmax(1) * positives[:, None]).sum(2)
        behind_average = torch.where(positives, average - scores, scores - average).clamp(min=0)
        logits = F.normalize(output[:, :-1, self.vector_dim :], dim=2)
        others = 1 - torch.eye(self.num_attentions).to(logits)
        cosines = logits @ logits.transpose(1, 2) * others
        return (
            hinge_rank(scores, positives).mean()
            + self.distribution * shares.square().mean()
            + self.global_margin * behind_average.sum()
            + self.span * cosines.norm()
        )

    def position_scores(self, feature_maps: FeatureMaps, W: Float[Tensor, "*b c d"]) -> Float[Tensor, "b c h w"]:
        """What each region gives to the score of each label, through the attention that fits the label best."""
        h = self.regions(feature_maps)
        attention = self.attention(h).softmax(2)
        matches = self.projection(h) @ W.mT
        winner = (attention @ matches).argmax(1)
        chosen = attention.gather(1, winner[..., None].expand(-1, -1, attention.shape[2]))
        return (chosen * matches.transpose(1, 2)).unflatten(2, (self.regions.grid, -1))
