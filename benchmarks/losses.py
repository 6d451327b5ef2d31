"""Speed of the ranking loss, forward and backward, against a loop over images with broadcast products.

Run: python benchmarks/losses.py
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from timing import medians, print_table
from zerotag.losses import ranknet

NUM_GROUPS, VECTOR_DIM, POSITIVES = 25, 300, 5
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def per_image_loop(S: Tensor, W: Tensor, positives: Tensor) -> Tensor:
    """The same loss, image by image: products of all groups and labels, then of all positives and negatives."""
    losses = []
    for vectors, positive in zip(S, positives, strict=True):
        scores = (vectors[:, None, :] * W[None, :, :]).sum(-1).amax(0)
        gap = scores[~positive][None, :] - scores[positive][:, None]
        losses.append(F.softplus(gap).mean())
    return torch.stack(losses).mean()


def vectorised(S: Tensor, W: Tensor, positives: Tensor) -> Tensor:
    return ranknet((S @ W.T).amax(1), positives).mean()


def main() -> None:
    rows = []
    for batch, labels in ((96, 925), (32, 7186)):
        torch.manual_seed(0)
        S = torch.randn(batch, NUM_GROUPS, VECTOR_DIM, requires_grad=True)
        W = F.normalize(torch.randn(labels, VECTOR_DIM), dim=1)
        positives = torch.rand(batch, labels) < POSITIVES / labels
        positives[:, 0] = True
        values = [loss(S, W, positives) for loss in (per_image_loop, vectorised)]
        torch.testing.assert_close(*values)

        def step(loss: Loss, S: Tensor = S, W: Tensor = W, positives: Tensor = positives) -> None:
            loss(S, W, positives).backward()

        loop, own = medians([lambda: step(per_image_loop), lambda: step(vectorised)])
        rows.append((f"B={batch}, n={NUM_GROUPS}, {labels} labels", loop, own))
    print_table("ranking loss, forward and backward", "loop over images", "zerotag", rows)


if __name__ == "__main__":
    main()
