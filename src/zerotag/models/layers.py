"""Blocks that methods share."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


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


def resize_to_grid(x: Float[Tensor, "b c h w"], grid: int) -> Float[Tensor, "b c g g"]:
    """Bring a map to ``grid`` x ``grid``: max-pooled when it is larger, bilinear when it is smaller."""
    side = x.shape[-1]
    if side > grid:
        return F.max_pool2d(x, side // grid) if side % grid == 0 else F.adaptive_max_pool2d(x, grid)
    return F.interpolate(x, size=(grid, grid), mode="bilinear", align_corners=False) if side < grid else x
