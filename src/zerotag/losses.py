"""Losses over scores of labels: pure functions, vectorised, one value an image where not said otherwise."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

PAIRS_AT_ONCE = 2**21


class _PairSum(torch.autograd.Function):
    """Σ over positives p and negatives q of softplus(s_q − s_p); the gradient is made in the forward pass.

    Rows of (positive, all labels) are taken in blocks, so memory is bounded by ``PAIRS_AT_ONCE`` numbers (or one
    row of labels) a temporary, whatever the batch and the number of labels.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, positives: Tensor) -> Tensor:
        gradient = torch.zeros_like(scores)
        total = scores.new_zeros(len(scores))
        negative_scores = scores.masked_fill(positives, -torch.inf)
        image, label = positives.nonzero(as_tuple=True)
        rows = max(1, PAIRS_AT_ONCE // scores.shape[1])
        for i, p in zip(image.split(rows), label.split(rows), strict=True):
            gap = negative_scores[i] - scores[i, p, None]
            total.index_add_(0, i, F.softplus(gap).sum(1))
            slope = gap.sigmoid_()
            gradient.index_put_((i, p), -slope.sum(1), accumulate=True)
            gradient.index_add_(0, i, slope)
        ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[0][:, None], None


def ranknet(
    scores: Float[Tensor, "b c"],
    positives: Bool[Tensor, "b c"],
    normalise: Literal["pairs", "positives"] = "pairs",
    weight: Float[Tensor, " b"] | None = None,
) -> Float[Tensor, " b"]:
    """RankNet loss of each image (GBE-MLZSL eq. 14, Fast0Tag eq. 8): every positive label ahead of every negative.

    Σ_{p∈T, q∈T̄} log(1 + exp(s_q − s_p)), divided by |T||T̄| ("pairs", GBE-MLZSL's α) or by |T| ("positives",
    as SDL does). An image without positives, or without negatives, has loss 0.

    Args:
        scores: of all trained labels.
        positives: which labels an image has.
        normalise: by what the sum over pairs is divided.
        weight: a factor for each image.
    """
    with torch.autocast(scores.device.type, enabled=False):
        scores = scores if scores.dtype == torch.float64 else scores.float()
        num_positives = positives.sum(1)
        pairs = num_positives * (~positives).sum(1) if normalise == "pairs" else num_positives
        loss: Tensor = _PairSum.apply(scores, positives) / pairs.clamp(min=1)
        return loss if weight is None else loss * weight


def diversity_weight(positives: Bool[Tensor, "b c"], W: Float[Tensor, "c d"]) -> Float[Tensor, " b"]:
    """1 + the summed variance of an image's positive label vectors (GBE-MLZSL eq. 15), unbiased.

    Images whose labels mean different things weigh more; one with fewer than two positives weighs 1.
    """
    chosen = positives.to(W.dtype)
    number = chosen.sum(1)
    mean = chosen @ W / number.clamp(min=1)[:, None]
    squares = chosen @ W.square().sum(1)
    variance = (squares - number * mean.square().sum(1)) / (number - 1).clamp(min=1)
    return 1 + torch.where(number > 1, variance.clamp(min=0), 0)


def semantic_regulariser(S: Float[Tensor, "b n d"]) -> Float[Tensor, " b"]:
    """Summed variance of an image's n semantic vectors (GBE-MLZSL eq. 16), unbiased; 0 for n = 1."""
    return S.var(1).sum(1) if S.shape[1] > 1 else torch.zeros_like(S[:, 0, 0])


def gbe_loss(
    S: Float[Tensor, "b n d"],
    scores: Float[Tensor, "b c"],
    positives: Bool[Tensor, "b c"],
    W: Float[Tensor, "c d"],
    *,
    regularisation: float,
    normalise: Literal["pairs", "positives"] = "pairs",
) -> Float[Tensor, ""]:
    """The complete loss, mean over the batch of (1−λ)·ω·rank + λ·reg (GBE-MLZSL eq. 17); ``regularisation`` is λ."""
    rank = ranknet(scores, positives, normalise, diversity_weight(positives, W))
    return ((1 - regularisation) * rank + regularisation * semantic_regulariser(S)).mean()
