"""Killed at any moment, a run goes on to the same weights, optimiser and random state, bit for bit."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

from zerotag.errors import ZerotagError
from zerotag.training import loop
from zerotag.training.checkpoint import load_tensors
from zerotag.training.run import Run
from zerotag.training.settings import validate_settings

MOMENTS = [
    ("before file", 1),
    ("in step", 2),
    ("before file", 4),
    ("after file", 5),
    ("before file", 6),
    ("in step", 6),
]


@pytest.fixture(scope="module")
def settings(toy_settings: dict[str, Any]) -> dict[str, Any]:
    """Dropout and superposed pictures draw from the random state in every step."""
    changed = copy.deepcopy(toy_settings)
    changed["model"] = {"name": "fast0tag", "options": {"hidden": [16], "dropout": 0.5}}
    changed["optimiser"]["superpose"] = 0.5
    return changed


@pytest.fixture(scope="module")
def uninterrupted(settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "whole"
    assert drive(settings, folder, "never", 0) == 0
    return folder


def drive(settings: dict[str, Any], folder: Path, moment: str, number: int) -> int | None:
    """Exit code of a process that trains; a fork server imports torch once for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["zerotag.training.loop"])
    process = context.Process(target=train_until, args=(settings, folder, moment, number))
    process.start()
    process.join()
    return process.exitcode


def train_until(settings: dict[str, Any], folder: Path, moment: str, number: int) -> None:
    """Train, and die by signal 9 before or after the n-th file is put in its place, or in the n-th step."""
    torch.set_num_threads(1)
    loop.CHECKPOINT_EVERY_SECONDS = 0
    count, replace = 0, Path.replace

    def die_at(now: str, reached: int) -> None:
        if (now, reached) == (moment, number):
            os.kill(os.getpid(), signal.SIGKILL)

    def counted_replace(self: Path, target: Path) -> Path:
        nonlocal count
        count += folder in Path(target).parents
        die_at("before file", count)
        placed = replace(self, target)
        die_at("after file", count)
        return placed

    def progress(what: str, done: int, total: int) -> None:
        if what.startswith("Training"):
            die_at("in step", done)

    with patch.object(Path, "replace", counted_replace):
        loop.train(validate_settings(settings, "the test"), folder, resume=True, progress=progress)


@pytest.mark.parametrize(("moment", "number"), MOMENTS, ids=lambda value: str(value))
def test_killed_and_resumed_equals_uninterrupted(
    settings: dict[str, Any], uninterrupted: Path, tmp_path: Path, moment: str, number: int
) -> None:
    assert drive(settings, tmp_path / "run", moment, number) == -9
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert drive(settings, tmp_path / "run", "never", 0) == 0
    assert_equal_runs(uninterrupted, tmp_path / "run")


def assert_equal_runs(one: Path, other: Path) -> None:
    for file in ("model.safetensors", "checkpoint.safetensors"):
        (tensors, plain), (others, other_plain) = load_tensors(one / file), load_tensors(other / file)
        assert tensors.keys() == others.keys()
        assert [name for name in tensors if not torch.equal(tensors[name], others[name])] == []
        assert without_seconds(plain) == without_seconds(other_plain)
    logs = [
        [without_seconds(json.loads(line)) for line in (run / "log.jsonl").read_text().splitlines()]
        for run in (one, other)
    ]
    assert logs[0] == logs[1] and len(logs[0]) == 2


def without_seconds(plain: Any) -> Any:
    if isinstance(plain, dict):
        return {key: without_seconds(value) for key, value in plain.items() if key != "seconds"}
    return [without_seconds(one) for one in plain] if isinstance(plain, list) else plain


def run_in(folder: Path, settings: dict[str, Any], **changes: Any) -> Run:
    return loop.train(validate_settings(settings, "the test"), folder, **changes)


def test_a_finished_run_is_left_as_it_is(settings: dict[str, Any], uninterrupted: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in uninterrupted.iterdir()}
    assert run_in(uninterrupted, settings, resume=True).is_finished
    assert {file: file.stat().st_mtime_ns for file in uninterrupted.iterdir()} == before


def test_a_run_is_not_overwritten(settings: dict[str, Any], uninterrupted: Path) -> None:
    with pytest.raises(ZerotagError, match="add --resume"):
        run_in(uninterrupted, settings)


def test_other_settings_cannot_go_on(settings: dict[str, Any], uninterrupted: Path) -> None:
    with pytest.raises(ZerotagError, match=r"other settings \(seed\)"):
        run_in(uninterrupted, settings | {"seed": 1}, resume=True)


def test_a_damaged_checkpoint_is_named(settings: dict[str, Any], tmp_path: Path) -> None:
    assert drive(settings, tmp_path / "run", "in step", 3) == -9
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ZerotagError, match=r"checkpoint\.safetensors is damaged .*; delete it to train from the start"):
        run_in(tmp_path / "run", settings, resume=True)
