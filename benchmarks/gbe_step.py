"""A training step of GBE at the paper's size against plain float32 code, group by group; the loss's share of it.

Run: python benchmarks/gbe_step.py

Each side runs in a process of its own, so that its peak memory can be told. The group-by-group side has the
weights of the model and gives the same semantic vectors.
"""

from __future__ import annotations

import multiprocessing

import torch
from torch import Tensor
from torch.nn import functional as F

from measure import added_gigabytes, medians, print_table
from zerotag.memory import keep_freed_memory
from zerotag.models.gbe import GBE
from zerotag.precision import autocast

CHANNELS = {8: 512, 16: 512, 32: 512}
BATCH, VECTOR_DIM, NUM_LABELS, ROUNDS = 16, 300, 925, 3
LOOP, GIVING_BACK, ZEROTAG = "group by group", "zerotag, memory given back to the system", "zerotag"


def group_by_group(model: GBE, maps: dict[int, Tensor]) -> Tensor:
    """S of eq. 12 with a loop over the groups, every operation written out."""
    assert model.lid is not None and model.gem is not None and model.graph is not None
    fused = model.fusion(maps).flatten(2).transpose(1, 2)
    deepest = model.gem(maps)
    lid, D, nodes = model.lid, VECTOR_DIM, []
    norm, down, _, up = (dict(layer.named_parameters()) for layer in lid.feed_forward)
    for g in range(model.num_groups):
        x = F.linear(fused, model.grouping.weight[g * D : (g + 1) * D], model.grouping.bias[g * D : (g + 1) * D])
        x = x @ lid.embedding.weight[g] + lid.embedding.bias[g]
        q, v = (x @ one.weight[g] + one.bias[g] for one in (lid.query, lid.value))
        k = x @ lid.key[g]
        x = x + torch.softmax(q @ k.transpose(1, 2) * lid.scale, -1) @ v
        y = F.layer_norm(x, (D,)) * norm["weight"][g] + norm["bias"][g]
        y = F.gelu(y @ down["weight"][g] + down["bias"][g]) @ up["weight"][g] + up["bias"][g]
        nodes.append(torch.cat([(x + y).amax(1), deepest], -1))
    rows = []
    for r in range(model.num_groups):
        heard = torch.zeros_like(nodes[r])
        for m, node in enumerate(nodes):
            heard = heard + model.graph.affinity[r, m] * node
        rows.append(F.leaky_relu(heard @ model.graph.update, model.graph.slope))
    return torch.stack(rows, 1)


def world() -> tuple[GBE, dict[int, Tensor], Tensor, Tensor]:
    torch.manual_seed(0)
    model = GBE(CHANNELS, VECTOR_DIM)
    maps = {s: torch.randn(BATCH, c, 224 // s, 224 // s).relu() for s, c in CHANNELS.items()}
    positives = torch.rand(BATCH, NUM_LABELS) < 5 / NUM_LABELS
    return model, maps, F.normalize(torch.randn(NUM_LABELS, VECTOR_DIM), dim=1), positives


def measure(side: str) -> tuple[float, float]:
    """Seconds of a step, and what it adds to the memory of the process at its peak, in GB."""
    if side == ZEROTAG:
        keep_freed_memory()
    model, maps, W, positives = world()

    def step() -> None:
        if side != LOOP:
            with autocast(torch.device("cpu")):
                S = model.embed(maps).float()
        else:
            S = group_by_group(model, maps)
        model.loss(S, W, positives).backward()

    memory = added_gigabytes(step)
    (seconds,) = medians([step], ROUNDS)
    return seconds, memory


def share_of_the_loss(num_labels: int, batch: int) -> tuple[float, float]:
    """Seconds of a step, and of the loss and its backward pass alone."""
    keep_freed_memory()
    torch.manual_seed(0)
    model = GBE(CHANNELS, VECTOR_DIM)
    maps = {s: torch.randn(batch, c, 224 // s, 224 // s).relu() for s, c in CHANNELS.items()}
    W = F.normalize(torch.randn(num_labels, VECTOR_DIM), dim=1)
    positives = torch.rand(batch, num_labels) < 5 / num_labels
    S = torch.randn(batch, model.num_groups, VECTOR_DIM, requires_grad=True)

    def step() -> None:
        with autocast(torch.device("cpu")):
            embedded = model.embed(maps).float()
        model.loss(embedded, W, positives).backward()

    whole, loss = medians([step, lambda: model.loss(S, W, positives).backward()], ROUNDS)
    return whole, loss


def main() -> None:
    model, maps, _, _ = world()
    with torch.inference_mode():
        small = {s: m[:2] for s, m in maps.items()}
        model.eval()
        torch.testing.assert_close(model.embed(small), group_by_group(model, small), rtol=1e-3, atol=1e-4)
    context = multiprocessing.get_context("spawn")
    found = {}
    for side in (LOOP, GIVING_BACK, ZEROTAG):
        with context.Pool(1) as pool:
            found[side] = pool.apply(measure, (side,))
    case = f"n=25, D={VECTOR_DIM}, 14x14, B={BATCH}"
    rows = [(f"{case}: {side}", found[LOOP][0], found[side][0]) for side in (GIVING_BACK, ZEROTAG)]
    print_table("GBE training step", "float32, group by group", "own", rows)
    print("\n| labels | batch | step, ms | loss, ms | share, percent |\n|---:|---:|---:|---:|---:|")
    for num_labels, batch in ((NUM_LABELS, BATCH), (7186, 32)):
        with context.Pool(1) as pool:
            whole, loss = pool.apply(share_of_the_loss, (num_labels, batch))
        print(f"| {num_labels} | {batch} | {1000 * whole:.0f} | {1000 * loss:.0f} | {100 * loss / whole:.1f} |")
    print("\npeak memory of a step: " + ", ".join(f"{side} {memory:.2f} GB" for side, (_, memory) in found.items()))


if __name__ == "__main__":
    main()
