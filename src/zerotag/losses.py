"""Losses over scores of labels: pure functions, vectorised, one value an image where not said otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

PAIRS_AT_ONCE = 2**21
EULER_MASCHERONI = 0.5772156649015329


RowLoss = Callable[[Tensor], tuple[Tensor, Tensor]]


class _PairSum(torch.autograd.Function):
    """Σ over positives p of a loss of the gaps s_q − s_p to all negatives q; the gradient is made in the forward pass.

    ``row_loss`` turns rows of gaps, −∞ where q is no negative, into a value a row and its slope for each gap. Rows are
    taken in blocks, so memory is bounded by ``PAIRS_AT_ONCE`` numbers (or one row of labels) a temporary, whatever
    the batch and the number of labels. The second result is the sum of slopes; it has no gradient.
    """

    @staticmethod
    def forward(ctx: Any, scores: Tensor, positives: Tensor, row_loss: RowLoss) -> tuple[Tensor, Tensor]:
        gradient = torch.zeros_like(scores)
        total, slopes = scores.new_zeros(2, len(scores))
        negative_scores = scores.masked_fill(positives, -torch.inf)
        image, label = positives.nonzero(as_tuple=True)
        rows = max(1, PAIRS_AT_ONCE // scores.shape[1])
        for i, p in zip(image.split(rows), label.split(rows), strict=True):
            value, slope = row_loss(negative_scores[i] - scores[i, p, None])
            summed = slope.sum(1)
            total.index_add_(0, i, value)
            slopes.index_add_(0, i, summed)
            gradient.index_put_((i, p), -summed, accumulate=True)
            gradient.index_add_(0, i, slope)
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(slopes)
        return total, slopes

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * upstream[0][:, None], None, None


def _pair_sum(scores: Tensor, positives: Tensor, row_loss: RowLoss) -> tuple[Tensor, Tensor]:
    with torch.autocast(scores.device.type, enabled=False):
        scores = scores if scores.dtype == torch.float64 else scores.float()
        total, slopes = _PairSum.apply(scores, positives, row_loss)
        return total, slopes


def _softplus_rows(gap: Tensor) -> tuple[Tensor, Tensor]:
    return F.softplus(gap).sum(1), gap.sigmoid_()


def _hinge_rows(gap: Tensor) -> tuple[Tensor, Tensor]:
    violation = gap.add_(1).clamp_(min=0)
    return violation.sum(1), violation.sign_()


def _weighted_rows(gap: Tensor) -> tuple[Tensor, Tensor]:
    value, violated = _hinge_rows(gap)
    rank = violated.sum(1)
    weight = _rank_weight(rank) / rank.clamp(min=1)
    return weight * value, violated.mul_(weight[:, None])


def _sampled_rows(gap: Tensor) -> tuple[Tensor, Tensor]:
    num_negatives = (gap > -torch.inf).sum(1, dtype=gap.dtype)
    violation = gap.add_(1).clamp_(min=0)
    share = (violation > 0).sum(1) / num_negatives.clamp(min=1)
    # the number of draws until one violates is geometric, and that one is any violator, all alike
    draws = (torch.rand_like(share).clamp_(min=1e-12).log() / torch.log1p(-share)).ceil().clamp(min=1)
    chosen = torch.where(violation > 0, torch.rand_like(violation), -1).argmax(1, keepdim=True)
    weight = torch.where(draws <= num_negatives, _rank_weight((num_negatives / draws).floor()), 0)
    value = weight * violation.gather(1, chosen)[:, 0]
    return value, torch.zeros_like(gap).scatter_(1, chosen, weight[:, None])


def _rank_weight(rank: Tensor) -> Tensor:
    """1 + 1/2 + ... + 1/rank, and 0 for rank 0."""
    return torch.digamma(rank + 1) + EULER_MASCHERONI


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
    num_positives = positives.sum(1)
    pairs = num_positives * (~positives).sum(1) if normalise == "pairs" else num_positives
    loss = _pair_sum(scores, positives, _softplus_rows)[0] / pairs.clamp(min=1)
    return loss if weight is None else loss * weight


def hinge_rank(scores: Float[Tensor, "b c"], positives: Bool[Tensor, "b c"]) -> Float[Tensor, " b"]:
    """Hinge rank loss of each image, as LESA and BiAM use it: the mean of max(0, 1 + s_q − s_p) over violating pairs.

    p is a positive label and q a negative one; an image in which no pair violates has loss 0.
    """
    total, violations = _pair_sum(scores, positives, _hinge_rows)
    return total / violations.clamp(min=1)


def weighted_rank(scores: Float[Tensor, "b c"], positives: Bool[Tensor, "b c"]) -> Float[Tensor, " b"]:
    """Weighted approximate ranking of each image (LabelEM, Akata et al. 2015): exact, over all negatives.

    Σ_{p∈T} β(r_p)/r_p Σ_{q∈T̄} max(0, 1 + s_q − s_p), divided by |T|; r_p is the number of negatives that violate and
    β(r) = 1 + 1/2 + ... + 1/r.
    """
    return _pair_sum(scores, positives, _weighted_rows)[0] / positives.sum(1).clamp(min=1)


def warp(scores: Float[Tensor, "b c"], positives: Bool[Tensor, "b c"]) -> Float[Tensor, " b"]:
    """WARP loss of each image (Weston et al. 2011, Gong et al. 2014): the same with one drawn violator a positive.

    For each positive negatives are drawn until one violates, at most as often as there are negatives; with N draws the
    loss is β(⌊|T̄|/N⌋)·max(0, 1 + s_q − s_p), divided by |T|. Draws come from torch's random state.
    """
    return _pair_sum(scores, positives, _sampled_rows)[0] / positives.sum(1).clamp(min=1)


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
    if regularisation == 0:
        return rank.mean()
    return ((1 - regularisation) * rank + regularisation * semantic_regulariser(S)).mean()
