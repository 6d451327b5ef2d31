"""Speed of the losses and of the attention for each label, forward and backward, against loops.

Run: python benchmarks/losses.py

The loops go over images (ranking, hinge), over positives with one draw at a time (WARP), or over labels (attention).
All but WARP, whose draws are its own, are checked to give the same value first.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from measure import added_gigabytes, medians, print_table
from zerotag.losses import hinge_rank, ranknet, warp
from zerotag.models.attention_per_label import AttentionPerLabel

NUM_GROUPS, VECTOR_DIM, POSITIVES, GRID = 25, 300, 5, 14
SIZES = ((96, 925), (32, 7186))
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def ranknet_by_image(S: Tensor, W: Tensor, positives: Tensor) -> Tensor:
    """Image by image: products of all groups and labels, then of all positives and negatives."""
    losses = []
    for vectors, positive in zip(S, positives, strict=True):
        scores = (vectors[:, None, :] * W[None, :, :]).sum(-1).amax(0)
        gap = scores[~positive][None, :] - scores[positive][:, None]
        losses.append(F.softplus(gap).mean())
    return torch.stack(losses).mean()


def hinge_by_image(S: Tensor, W: Tensor, positives: Tensor) -> Tensor:
    losses = []
    for vectors, positive in zip(S, positives, strict=True):
        scores = (vectors @ W.T).amax(0)
        violation = (1 + scores[~positive][None, :] - scores[positive][:, None]).clamp(min=0)
        losses.append(violation.sum() / (violation > 0).sum().clamp(min=1))
    return torch.stack(losses).mean()


def warp_by_positive(S: Tensor, W: Tensor, positives: Tensor) -> Tensor:
    """Negatives are drawn one at a time until one violates, as the papers write it."""
    losses = []
    for vectors, positive in zip(S, positives, strict=True):
        scores = (vectors @ W.T).amax(0)
        negatives, chosen = scores[~positive], positive.nonzero()[:, 0]
        loss = scores.new_zeros(())
        for p in chosen:
            for draw in range(1, len(negatives) + 1):
                violation = 1 + negatives[torch.randint(len(negatives), ())] - scores[p]
                if violation > 0:
                    rank = len(negatives) // draw
                    loss = loss + (1 / torch.arange(1, rank + 1)).sum() * violation
                    break
        losses.append(loss / len(chosen))
    return torch.stack(losses).mean()


def on_best_match(loss: Callable[[Tensor, Tensor], Tensor]) -> Loss:
    return lambda S, W, positives: loss((S @ W.T).amax(1), positives).mean()


def attention_by_label(S: Tensor, W: Tensor, positives: Tensor) -> Tensor:
    keys, values = S.chunk(2, 1)
    scores = []
    for vector in W:
        attention = (keys @ vector).softmax(1)
        scores.append(((attention[..., None] * values).sum(1) * vector).sum(1))
    return hinge_rank(torch.stack(scores, 1), positives).mean()


@dataclass(frozen=True)
class Case:
    """One piece of work in both ways.

    Attributes:
        loop: the straightforward way.
        own: the way of zerotag.
        vectors: semantic vectors of an image.
        smaller: by how much the batch is cut, so that the loop ends in seconds.
    """

    loop: Loss
    own: Loss
    vectors: int
    smaller: int = 1

    def steps(self, batch: int, labels: int, *, check: bool = False) -> tuple[Callable[[], None], Callable[[], None]]:
        """Forward and backward of a batch, by the loop and by zerotag."""
        torch.manual_seed(0)
        number = batch // self.smaller
        S = torch.randn(number, self.vectors, VECTOR_DIM, requires_grad=True)
        W = F.normalize(torch.randn(labels, VECTOR_DIM), dim=1)
        positives = torch.rand(number, labels) < POSITIVES / labels
        positives[:, 0] = True
        if check:
            torch.testing.assert_close(self.loop(S, W, positives), self.own(S, W, positives), rtol=1e-4, atol=1e-4)

        def step(loss: Loss) -> None:
            loss(S, W, positives).backward()

        return partial(step, self.loop), partial(step, self.own)


def cases() -> dict[str, Case]:
    attention = AttentionPerLabel({8: 8, 16: 8, 32: 8}, VECTOR_DIM, grid=GRID)
    return {
        "RankNet": Case(ranknet_by_image, on_best_match(ranknet), NUM_GROUPS),
        "hinge rank": Case(hinge_by_image, on_best_match(hinge_rank), NUM_GROUPS),
        "WARP": Case(warp_by_positive, on_best_match(warp), NUM_GROUPS),
        "attention per label": Case(attention_by_label, attention.loss, 2 * GRID**2, smaller=4),
    }


def memory(name: str, size: tuple[int, int], way: int) -> float:
    return added_gigabytes(cases()[name].steps(*size)[way])


def main() -> None:
    context = multiprocessing.get_context("spawn")
    rows, peaks = [], []
    for name, case in cases().items():
        for batch, labels in SIZES:
            slow, fast = medians(case.steps(batch, labels, check=name != "WARP"))
            title = f"{name}, B={batch // case.smaller}, {labels} labels"
            rows.append((title, slow, fast))
            with context.Pool(1, maxtasksperchild=1) as pool:
                by_loop, own = pool.starmap(memory, [(name, (batch, labels), way) for way in (0, 1)], chunksize=1)
            peaks.append(f"| {title} | {by_loop:.2f} | {own:.2f} |")
    print_table("losses, forward and backward", "loop", "zerotag", rows)
    print("\nwhat a step adds to the memory of a process at its peak\n")
    print("| case | loop, GB | zerotag, GB |\n|---|---:|---:|")
    print("\n".join(peaks))


if __name__ == "__main__":
    main()
