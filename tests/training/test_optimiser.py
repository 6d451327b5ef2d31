"""Optimisers and learning-rate schedules: the rates that they give, and that they can be gone on with."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from zerotag.training import loop
from zerotag.training.checkpoint import load_tensors
from zerotag.training.loop import train
from zerotag.training.run import Run
from zerotag.training.settings import validate_settings


def trained(toy_settings: dict[str, Any], folder: Path, resume: bool = False, **optimiser: Any) -> Run:
    tree = copy.deepcopy(toy_settings)
    tree["optimiser"] |= optimiser
    return train(validate_settings(tree, "the test"), folder, resume=resume)


def test_cosine_rises_in_the_warm_up_and_ends_at_the_last_rate(toy_settings: dict[str, Any], tmp_path: Path) -> None:
    schedule = {"schedule": "cosine", "warm_up": 0.25, "learning_rate": 0.01, "last_learning_rate": 0.002}
    # three steps an epoch, four epochs: the first three of twelve steps rise
    log = trained(toy_settings, tmp_path / "run", epochs=4, **schedule).log()
    rates = [line["learning_rate"] for line in log]
    assert rates[0] == pytest.approx(0.01) and rates[-1] == pytest.approx(0.002)
    half_way_down = 0.002 + 0.008 * (1 + torch.cos(torch.tensor(torch.pi * 3 / 9)).item()) / 2
    assert rates[1] == pytest.approx(half_way_down) and rates == sorted(rates, reverse=True)


def test_the_warm_up_of_one_cycle_is_its_share_of_the_steps(toy_settings: dict[str, Any], tmp_path: Path) -> None:
    log = trained(toy_settings, tmp_path / "run", epochs=4, schedule="one_cycle", warm_up=0.5).log()
    rates = [line["learning_rate"] for line in log]
    assert rates[0] < rates[1] and rates[1] == pytest.approx(1e-3, rel=0.1) and rates[-1] < 1e-6


@pytest.mark.parametrize("optimiser", [{"name": "rmsprop"}, {"name": "adam", "schedule": "cosine", "warm_up": 0.2}])
def test_every_optimiser_goes_on_from_a_checkpoint(
    toy_settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimiser: dict[str, Any]
) -> None:
    whole = trained(toy_settings, tmp_path / "whole", epochs=2, **optimiser)

    end_epoch = loop._end_epoch

    def end_first_epoch(run: Run, *given: Any) -> None:
        if run.log():
            raise KeyboardInterrupt
        end_epoch(run, *given)

    monkeypatch.setattr(loop, "_end_epoch", end_first_epoch)
    with pytest.raises(KeyboardInterrupt):
        trained(toy_settings, tmp_path / "parts", epochs=2, **optimiser)
    monkeypatch.undo()
    parts = trained(toy_settings, tmp_path / "parts", resume=True, epochs=2, **optimiser)
    one, other = load_tensors(whole.weights)[0], load_tensors(parts.weights)[0]
    assert all(torch.equal(one[name], other[name]) for name in one)
