"""The ranking losses with a margin against loops over pairs, and the sampled one against its expectation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from zerotag import losses
from zerotag.losses import hinge_rank, warp, weighted_rank

Loss = Callable[[Tensor, Tensor], Tensor]


def case(seed: int, images: int = 4, labels: int = 9) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    scores = torch.randn(images, labels, generator=random, dtype=torch.float64)
    return scores.requires_grad_(), torch.rand(images, labels, generator=random) < 0.4


def rows(scores: Tensor, positives: Tensor) -> list[list[list[Tensor]]]:
    """For each image and each of its positives the violations that are above zero."""
    return [
        [
            [1 + s[q] - s[p] for q in range(len(s)) if not positive[q] and 1 + s[q] - s[p] > 0]
            for p in range(len(s))
            if positive[p]
        ]
        for s, positive in zip(scores, positives.tolist(), strict=True)
    ]


def naive_hinge(scores: Tensor, positives: Tensor) -> Tensor:
    pairs = [[v for row in image for v in row] for image in rows(scores, positives)]
    return torch.stack([torch.stack(image).mean() if image else 0 * scores.sum() for image in pairs])


def naive_weighted(scores: Tensor, positives: Tensor) -> Tensor:
    found = []
    for image in rows(scores, positives):
        total = 0 * scores.sum()
        for row in image:
            for violation in row:
                total = total + sum(1 / j for j in range(1, len(row) + 1)) / len(row) * violation
        found.append(total / max(1, len(image)))
    return torch.stack(found)


@pytest.mark.parametrize("rows_at_once", [1, 2**21])
@pytest.mark.parametrize(("loss", "naive"), [(hinge_rank, naive_hinge), (weighted_rank, naive_weighted)])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), images=st.integers(1, 5), labels=st.integers(1, 9))
def test_value_and_gradient_equal_a_loop(
    loss: Loss, naive: Loss, rows_at_once: int, seed: int, images: int, labels: int
) -> None:
    scores, positives = case(seed, images, labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "PAIRS_AT_ONCE", rows_at_once)
        found, expected = loss(scores, positives), naive(scores, positives)
        gradients = [torch.autograd.grad(value.square().sum(), scores)[0] for value in (found, expected)]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(*gradients)


def test_warp_has_the_mean_of_draws_with_replacement() -> None:
    scores, positives = case(3, images=1, labels=12)
    (image,) = rows(scores.detach(), positives)
    negatives = int((~positives).sum())
    expected = 0.0
    for row in image:
        share = len(row) / negatives
        for draws in range(1, negatives + 1):
            weight = sum(1 / j for j in range(1, negatives // draws + 1))
            expected += share * (1 - share) ** (draws - 1) * weight * float(sum(row)) / max(1, len(row))
    expected /= len(image)
    torch.manual_seed(0)
    repeated = scores.detach().expand(40_000, -1).clone().requires_grad_()
    found = warp(repeated, positives.expand(40_000, -1))
    assert len({round(v, 6) for v in found.tolist()}) > 3
    assert found.mean().item() == pytest.approx(expected, rel=0.02)
    (gradient,) = torch.autograd.grad(found.sum(), repeated)
    torch.testing.assert_close(gradient.sum(1), torch.zeros(40_000, dtype=torch.float64))


def test_warp_where_every_or_no_negative_violates() -> None:
    scores, positives = torch.tensor([[0.0, 0.0, 0.0], [5.0, 0.0, 0.0]]), torch.tensor([[True, False, False]] * 2)
    assert warp(scores, positives).tolist() == pytest.approx([1.5, 0.0])


@pytest.mark.parametrize("loss", [hinge_rank, weighted_rank, warp])
@pytest.mark.parametrize("all_or_none", [True, False])
def test_an_image_without_pairs_has_no_loss_and_no_gradient(loss: Loss, all_or_none: bool) -> None:
    scores, positives = case(2)
    positives[1] = all_or_none
    found = loss(scores, positives)
    (gradient,) = torch.autograd.grad(found.sum(), scores)
    assert found[1] == 0 and not gradient[1].any() and torch.isfinite(gradient).all()
