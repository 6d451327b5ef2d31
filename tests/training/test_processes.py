"""Several processes, and a batch in parts, train what one process trains."""

from __future__ import annotations

import copy
import json
import os
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing

from zerotag import precision
from zerotag.errors import ZerotagError
from zerotag.evaluation import evaluate_run
from zerotag.training.checkpoint import load_tensors
from zerotag.training.loop import train
from zerotag.training.processes import Processes
from zerotag.training.run import Run, load_run
from zerotag.training.settings import validate_settings


def in_float32(device: torch.device) -> None:
    """In bfloat16 the last digits depend on how large a batch is."""


@pytest.fixture(autouse=True)
def float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "autocast_dtype", in_float32)


def of(toy_settings: dict[str, Any], **optimiser: Any) -> dict[str, Any]:
    """A model without batch statistics, which a process on a CPU takes over its own pictures alone."""
    changed = copy.deepcopy(toy_settings)
    changed["model"] = {"name": "sdl"}
    changed["optimiser"] |= {"batch_size": 8} | optimiser
    return changed


def one_of_several(rank: int, count: int, port: int, settings: dict[str, Any] | None, folder: str, cache: str) -> None:
    """Train, or evaluate where there are no settings."""
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "ZEROTAG_CACHE": cache,
    }
    torch.set_num_threads(1)
    precision.autocast_dtype = in_float32
    if settings is None:
        evaluate_run(Path(folder))
    else:
        train(validate_settings(settings, "test"), Path(folder))


def together(settings: dict[str, Any] | None, folder: Path) -> Run:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = (2, port, settings, str(folder), os.environ["ZEROTAG_CACHE"])
    torch.multiprocessing.spawn(one_of_several, arguments, nprocs=2)
    return load_run(folder)


def losses(run: Run) -> Sequence[float]:
    return [line["loss"] for line in run.log()]


@pytest.mark.parametrize("superpose", [0.0, 0.5])
def test_two_processes_have_the_losses_of_one(toy_settings: dict[str, Any], superpose: float, tmp_path: Path) -> None:
    settings = of(toy_settings, superpose=superpose)
    alone = train(validate_settings(settings, "test"), tmp_path / "alone")
    both = together(settings, tmp_path / "together")
    assert losses(both) == pytest.approx(losses(alone), abs=1e-5)
    assert [line["pictures_without_labels"] for line in both.log()] == [
        line["pictures_without_labels"] for line in alone.log()
    ]
    for name, tensor in load_tensors(alone.weights)[0].items():
        torch.testing.assert_close(load_tensors(both.weights)[0][name], tensor, rtol=1e-3, atol=1e-5)


def test_two_processes_find_the_figures_of_one(toy_settings: dict[str, Any], tmp_path: Path) -> None:
    run = train(validate_settings(of(toy_settings), "test"), tmp_path / "run")
    evaluate_run(run.folder)
    alone = json.loads((run.folder / "results.json").read_text())
    (run.folder / "results.json").unlink()
    together(None, run.folder)
    assert json.loads((run.folder / "results.json").read_text())["settings"] == alone["settings"]
    assert not list(run.folder.glob(".scores*"))


@pytest.mark.parametrize("superpose", [0.0, 0.5])
def test_a_batch_in_parts_has_the_losses_of_a_whole_one(
    toy_settings: dict[str, Any], superpose: float, tmp_path: Path
) -> None:
    whole, parts = (
        train(validate_settings(of(toy_settings, superpose=superpose, parts=n), "test"), tmp_path / str(n))
        for n in (1, 4)
    )
    assert losses(parts) == pytest.approx(losses(whole), abs=1e-5)


def test_shares_cover_a_batch() -> None:
    shares = [share for rank in range(3) for share in Processes(rank, 3).shares(24, 2)]
    assert [(share.start, share.stop) for share in shares] == [(start, start + 4) for start in range(0, 24, 4)]
    with pytest.raises(ZerotagError, match="cannot be cut into 5 equal parts"):
        Processes(0, 5).shares(24, 1)
