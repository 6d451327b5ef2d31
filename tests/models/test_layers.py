"""Labels scored in blocks give the scores and gradients of all at once."""

from __future__ import annotations

import pytest
import torch

from zerotag.models import create_model, layers

CHANNELS = {8: 3, 16: 4, 32: 5}


@pytest.mark.parametrize("name", ["attention_per_label", "biam"])
def test_blocks_of_labels_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = create_model(name, channels=CHANNELS, vector_dim=6, grid=4, width=16).eval()
    S = model.embed({s: torch.randn(2, c, 4, 4) for s, c in CHANNELS.items()}).detach().requires_grad_()
    W = torch.randn(7, 6)
    at_once = model.score(S, W)
    (expected,) = torch.autograd.grad(at_once.square().sum(), S)
    monkeypatch.setattr(layers, "NUMBERS_AT_ONCE", 2 * S.shape[0] * S.shape[1])
    in_blocks = model.score(S, W)
    (found,) = torch.autograd.grad(in_blocks.square().sum(), S)
    torch.testing.assert_close(in_blocks, at_once)
    torch.testing.assert_close(found, expected)
    with torch.inference_mode():
        torch.testing.assert_close(model.score(S, W), at_once.detach())
