"""Blocks that methods share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zerotag.strides import STRIDES, WHOLE

NUMBERS_AT_ONCE = 2**24


class GroupedLinear(nn.Module):
    """One linear map for each group, all run as one batched matrix product.

    Shape: [g, rows, in] to [g, rows, out]; a grouped 1x1 convolution when the rows are positions.
    """

    def __init__(self, num_groups: int, in_features: int, out_features: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(in_features)
        self.weight = nn.Parameter(torch.empty(num_groups, in_features, out_features).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(num_groups, 1, out_features).uniform_(-bound, bound))

    def forward(self, x: Float[Tensor, "g rows i"]) -> Float[Tensor, "g rows o"]:
        """Apply each group's own map."""
        return torch.baddbmm(self.bias, x, self.weight)


class GroupedLayerNorm(nn.Module):
    """Layer normalisation with a gain and an offset for each group. Shape: [g, rows, d] to the same."""

    def __init__(self, num_groups: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_groups, 1, dim))
        self.bias = nn.Parameter(torch.zeros(num_groups, 1, dim))

    def forward(self, x: Float[Tensor, "g rows d"]) -> Float[Tensor, "g rows d"]:
        """Normalise over the last axis."""
        normalised = F.layer_norm(x, x.shape[-1:])
        return torch.addcmul(self.bias.to(x.dtype), normalised, self.weight.to(x.dtype))


def attention(
    q: Float[Tensor, "*g p d"], k: Float[Tensor, "*g p d"], v: Float[Tensor, "*g p d"], scale: float
) -> Float[Tensor, "*g p d"]:
    """softmax(q kᵀ · scale) v over the positions of each leading index.

    On a processor these are two matrix products, since torch's fused kernel takes longer there in bfloat16, its
    backward pass most of all. Elsewhere the fused kernel runs, which never holds the table of p x p weights.
    """
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, scale=scale)
    weights = (q * scale @ k.transpose(-1, -2)).softmax(-1)
    return weights.to(v.dtype) @ v


class GlobalFeature(nn.Module):
    """The feature of the whole picture: the last hidden layer of the backbone's classifier.

    Where the maps come without it, as from data sets that bring maps alone, the average of the deepest map.

    Attributes:
        stride: of the map that is read.
        width: numbers of the feature.
    """

    def __init__(self, channels: dict[int, int]) -> None:
        super().__init__()
        self.stride = WHOLE if WHOLE in channels else max(STRIDES)
        self.width = channels[self.stride]

    def forward(self, feature_maps: dict[int, Tensor]) -> Float[Tensor, "b w"]:
        """The average over positions; of the whole picture there is one."""
        return feature_maps[self.stride].mean((2, 3))


class LesaRegions(nn.Module):
    """Region features as LESA makes them: maps of some strides on one grid, 2x2 convolution, BatchNorm, ReLU."""

    def __init__(self, channels: dict[int, int], strides: Sequence[int], grid: int, width: int) -> None:
        super().__init__()
        self.strides, self.grid = tuple(strides), grid
        in_channels = sum(channels[stride] for stride in strides)
        self.convolution = nn.Conv2d(in_channels, width, 2, bias=False)
        self.norm = nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)

    def forward(self, feature_maps: dict[int, Tensor]) -> Float[Tensor, "b r w"]:
        """One feature a grid cell; the border is padded on the right and below, so that none is lost."""
        padded = F.pad(regions(feature_maps, self.strides, self.grid), (0, 1, 0, 1))
        return self.norm(self.convolution(padded)).relu().flatten(2).transpose(1, 2)


class RegionAttention(nn.Module):
    """M softmax attentions over regions, log α = W₂ tanh(W₁ h) (LESA); gives their logits."""

    def __init__(self, in_features: int, num_attentions: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(in_features, in_features)
        self.attend = nn.Linear(in_features, num_attentions)

    def forward(self, h: Float[Tensor, "b r i"]) -> Float[Tensor, "b m r"]:
        """Attention logits over the regions."""
        logits: Tensor = self.attend(self.hidden(h).tanh())
        return logits.transpose(1, 2)


def scored_in_blocks(
    score: Callable[[Tensor], Tensor], W: Float[Tensor, "c d"], numbers_a_label: int
) -> Float[Tensor, "b c"]:
    """``score`` of the labels, some at a time, so that ``NUMBERS_AT_ONCE`` bounds what one block of labels needs.

    Where a gradient is wanted each block is computed again in the backward pass.

    Args:
        score: from vectors of labels to scores, label by label.
        W: label vectors.
        numbers_a_label: how many numbers ``score`` holds for one label.
    """
    if torch.compiler.is_compiling():  # an exported model takes any number of labels
        return score(W)
    blocks = W.split(max(1, NUMBERS_AT_ONCE // numbers_a_label))
    if len(blocks) > 1 and torch.is_grad_enabled():
        return torch.cat([checkpoint(score, block, use_reentrant=False) for block in blocks], 1)
    return torch.cat([score(block) for block in blocks], 1)


def regions(feature_maps: dict[int, Tensor], strides: Sequence[int], grid: int) -> Float[Tensor, "b c g g"]:
    """Maps of some strides, each brought to ``grid`` x ``grid``, one after the other along the channels."""
    return torch.cat([resize_to_grid(feature_maps[stride], grid) for stride in strides], 1)


def resize_to_grid(x: Float[Tensor, "b c h w"], grid: int) -> Float[Tensor, "b c g g"]:
    """Bring a map to ``grid`` x ``grid``: max-pooled when it is larger, bilinear when it is smaller."""
    side = x.shape[-1]
    if side > grid:
        return F.max_pool2d(x, side // grid) if side % grid == 0 else F.adaptive_max_pool2d(x, grid)
    return F.interpolate(x, size=(grid, grid), mode="bilinear", align_corners=False) if side < grid else x
