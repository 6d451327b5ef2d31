"""The loss of every model on weights and inputs that no random numbers are drawn for; a change of it shows here.

Where a change is meant: python tests/contracts/test_golden_losses.py writes the losses anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from zerotag.models import create_model, list_models

GOLDEN = Path(__file__).parent / "golden_losses.json"
CHANNELS, SIDES, VECTOR_DIM, NUM_LABELS = {8: 6, 16: 10, 32: 12}, {8: 28, 16: 14, 32: 7}, 10, 9


def wave(*shape: int, step: float) -> Tensor:
    """Numbers in [-1, 1] that look irregular and are the same everywhere."""
    number = torch.Size(shape).numel()
    return torch.arange(1, number + 1, dtype=torch.float64).mul(step).sin().float().view(shape)


def golden_loss(name: str) -> float:
    model = create_model(name, channels=CHANNELS, vector_dim=VECTOR_DIM).eval()
    W = F.normalize(wave(NUM_LABELS, VECTOR_DIM, step=1.3), dim=1)
    model.meet_labels(W)
    with torch.no_grad():
        for number, parameter in enumerate(model.parameters()):
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
            parameter.copy_(wave(*parameter.shape, step=0.7 + 0.11 * number) * 3 / fan_in**0.5)
        maps = {s: wave(4, c, SIDES[s], SIDES[s], step=0.9 + 0.01 * s).relu() for s, c in CHANNELS.items()}
        positives = wave(4, NUM_LABELS, step=2.1) > 0.4
        torch.manual_seed(0)  # WARP draws its violators
        return float(model.loss(model(maps), W, positives))


@pytest.mark.parametrize("name", list_models())
def test_the_loss_is_what_it_was(name: str) -> None:
    golden = json.loads(GOLDEN.read_text())
    assert name in golden, f"write the loss of {name} with: python {__file__}"
    assert golden_loss(name) == pytest.approx(golden[name], rel=1e-4)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps({name: golden_loss(name) for name in list_models()}, indent=1) + "\n")
