from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zerotag import losses
from zerotag.losses import diversity_weight, gbe_loss, ranknet, semantic_regulariser

MODES: list[Literal["pairs", "positives"]] = ["pairs", "positives"]


def case(seed: int, images: int = 5, labels: int = 11, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    scores = 4 * torch.randn(images, labels, generator=random, dtype=dtype)
    return scores.requires_grad_(), torch.rand(images, labels, generator=random) < 0.3


def naive_ranknet(scores: Tensor, positives: Tensor, normalise: str) -> Tensor:
    """A loop over the pairs of each image."""
    total = []
    for s, positive in zip(scores, positives.tolist(), strict=True):
        ahead = [c for c, yes in enumerate(positive) if yes]
        behind = [c for c, yes in enumerate(positive) if not yes]
        pairs = [torch.log1p(torch.exp(s[q] - s[p])) for p in ahead for q in behind]
        divisor = len(pairs) if normalise == "pairs" else len(ahead)
        total.append(torch.stack(pairs).sum() / divisor if pairs else 0 * s.sum())
    return torch.stack(total)


@pytest.fixture(params=[1, 30, 2**21], ids=["one row a block", "few rows a block", "all at once"])
def block_size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    monkeypatch.setattr(losses, "PAIRS_AT_ONCE", request.param)
    yield request.param


@pytest.mark.usefixtures("block_size")
@pytest.mark.parametrize("normalise", MODES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_value_and_gradient_equal_a_double_loop(
    normalise: Literal["pairs", "positives"], dtype: torch.dtype, tolerance: float
) -> None:
    scores, positives = case(0, dtype=dtype)
    upstream = torch.arange(1, 6, dtype=dtype)
    expected = naive_ranknet(scores, positives, normalise)
    (expected_gradient,) = torch.autograd.grad(expected @ upstream, scores)
    found = ranknet(scores, positives, normalise)
    (gradient,) = torch.autograd.grad(found @ upstream, scores)
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(gradient, expected_gradient, rtol=tolerance, atol=tolerance)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 9))
def test_any_shape_equals_a_double_loop(seed: int, images: int, labels: int) -> None:
    scores, positives = case(seed, images, labels)
    torch.testing.assert_close(ranknet(scores, positives), naive_ranknet(scores, positives, "pairs"))


def test_gradient_equals_finite_differences() -> None:
    scores, positives = case(1, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: ranknet(s, positives), scores)


def test_huge_scores_stay_finite() -> None:
    scores = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], requires_grad=True)
    loss = ranknet(scores, torch.tensor([[True, False, False]] * 2))
    loss.sum().backward()
    assert loss.tolist() == [0.0, 15000.0]
    assert scores.grad is not None and torch.isfinite(scores.grad).all()


@pytest.mark.parametrize("all_or_none", [True, False])
def test_an_image_without_pairs_has_no_loss_and_no_gradient(all_or_none: bool) -> None:
    scores, positives = case(2)
    positives[1] = all_or_none
    for normalise in MODES:
        loss = ranknet(scores, positives, normalise, torch.full((5,), 2.0))
        (gradient,) = torch.autograd.grad(loss.sum(), scores)
        assert loss[1] == 0 and not gradient[1].any()
        assert (loss[[0, 2, 3, 4]] > 0).all()


def test_weights_multiply_the_loss_of_an_image() -> None:
    scores, positives = case(3)
    weight = torch.tensor([1.0, 2.0, 0.0, 0.5, 3.0])
    torch.testing.assert_close(ranknet(scores, positives, weight=weight), weight * ranknet(scores, positives))


def test_half_precision_scores_are_summed_in_float32() -> None:
    scores, positives = case(4)
    half = scores.detach().bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = ranknet(half, positives)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, naive_ranknet(half.float(), positives, "pairs"))


def test_diversity_weight_is_one_and_the_summed_variance_of_the_positive_vectors() -> None:
    _, positives = case(5)
    positives[0], positives[1] = False, torch.arange(11) == 3
    W = torch.randn(11, 7, generator=torch.Generator().manual_seed(6))
    expected = [
        1.0 if row.sum() < 2 else 1 + sum(float(W[row, d].var(correction=1)) for d in range(7)) for row in positives
    ]
    torch.testing.assert_close(diversity_weight(positives, W), torch.tensor(expected))
    assert expected[:2] == [1.0, 1.0] and max(expected) > 2


def test_semantic_regulariser_is_the_summed_variance_of_an_images_vectors() -> None:
    S = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(7))
    expected = []
    for image in S.tolist():
        total = 0.0
        for column in zip(*image, strict=True):
            mean = math.fsum(column) / 4
            total += math.fsum((v - mean) ** 2 for v in column) / 3
        expected.append(total)
    torch.testing.assert_close(semantic_regulariser(S), torch.tensor(expected))
    assert semantic_regulariser(S[:, :1]).tolist() == [0, 0, 0]


def test_gbe_loss_puts_the_parts_together() -> None:
    scores, positives = case(8)
    random = torch.Generator().manual_seed(9)
    S, W = torch.randn(5, 3, 7, generator=random), torch.randn(11, 7, generator=random)
    omega = diversity_weight(positives, W)
    rank = naive_ranknet(scores, positives, "pairs")
    expected = (0.9 * omega * rank + 0.1 * semantic_regulariser(S)).mean()
    torch.testing.assert_close(gbe_loss(S, scores, positives, W, regularisation=0.1), expected)
    torch.testing.assert_close(gbe_loss(S, scores, positives, W, regularisation=0.0), (omega * rank).mean())
