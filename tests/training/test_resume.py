"""Killed at any moment, a run goes on to the same weights, optimiser and random state, bit for bit."""

from __future__ import annotations

import copy
import json
import multiprocessing
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch

from zerotag.errors import ZerotagError
from zerotag.evaluation import evaluate_run
from zerotag.locks import held
from zerotag.tagging.calibrate import calibrate
from zerotag.training import loop
from zerotag.training.checkpoint import load_tensors, save_tensors
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


def drive(settings: dict[str, Any], folder: Path, moment: str, number: float) -> int | None:
    """Exit code of a process that trains; a fork server imports torch once for all of them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["zerotag.tagging.calibrate", "torch._dynamo", "timm", "pytest"])
    process = context.Process(target=train_until, args=(settings, folder, moment, number))
    process.start()
    process.join()
    return process.exitcode


def train_until(settings: dict[str, Any], folder: Path, moment: str, number: float) -> None:
    """Train, and die by signal 9 before or after the n-th file is put in its place, in the n-th step, or some time."""
    torch.set_num_threads(1)
    loop.CHECKPOINT_EVERY_SECONDS = 0
    if moment == "after seconds":
        threading.Timer(number, os.kill, (os.getpid(), signal.SIGKILL)).start()
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


@pytest.mark.slow
def test_killed_at_seven_random_moments_it_comes_to_the_same(
    settings: dict[str, Any], uninterrupted: Path, tmp_path: Path
) -> None:
    began = time.monotonic()
    assert drive(settings, tmp_path / "timed", "never", 0) == 0
    whole, kills, folder = time.monotonic() - began, 0, tmp_path / "run"
    draw = random.Random()
    while kills < 7:
        moment = draw.uniform(0, whole)
        if drive(settings, folder, "after seconds", moment) == -signal.SIGKILL:
            kills += 1
        else:
            assert_equal_runs(uninterrupted, folder)
            shutil.rmtree(folder)
    assert drive(settings, folder, "never", 0) == 0
    assert_equal_runs(uninterrupted, folder)


@pytest.fixture(scope="module")
def stopped(settings: dict[str, Any], uninterrupted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was killed in its second epoch."""
    folder = tmp_path_factory.mktemp("runs") / "stopped"
    assert drive(settings, folder, "in step", 5) == -9
    return folder


@pytest.fixture
def run(stopped: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(stopped, tmp_path / "run"))


@pytest.mark.parametrize("log", [None, b"", b'{"epoch": 1, "st', b"\0" * 99, b"[1]\n", b"\xff"])
def test_a_damaged_log_heals(settings: dict[str, Any], uninterrupted: Path, run: Path, log: bytes | None) -> None:
    (run / "log.jsonl").unlink() if log is None else (run / "log.jsonl").write_bytes(log)
    run_in(run, settings, resume=True)
    assert_equal_runs(uninterrupted, run)


def test_without_its_checkpoint_it_starts_again(settings: dict[str, Any], uninterrupted: Path, run: Path) -> None:
    (run / "checkpoint.safetensors").unlink()
    run_in(run, settings, resume=True)
    assert_equal_runs(uninterrupted, run)


def rewritten(file: Path, edit: Callable[[dict[str, Any], Any], object]) -> None:
    tensors, plain = load_tensors(file)
    edit(tensors, plain)
    save_tensors(file, tensors, plain)


def slot(tensors: dict[str, Any]) -> str:
    return next(name for name in tensors if name.endswith("exp_avg"))


CHECKPOINTS: dict[str, Callable[[dict[str, Any], Any], object]] = {
    "no progress": lambda tensors, plain: plain.pop("progress"),
    "progress of another kind": lambda tensors, plain: plain["progress"].update(step="5"),
    "progress unknown": lambda tensors, plain: plain["progress"].update(stride=5),
    "a step behind the end": lambda tensors, plain: plain["progress"].update(step=1000),
    "a log of other epochs": lambda tensors, plain: plain["progress"]["log"].append(plain["progress"]["log"][0]),
    "a best epoch to come": lambda tensors, plain: plain["progress"].update(best_epoch=2),
    "no groups": lambda tensors, plain: plain.pop("groups"),
    "groups of text": lambda tensors, plain: plain.update(groups=["x"]),
    "a rate of text": lambda tensors, plain: plain["groups"][0].update(lr="fast"),
    "a beta too few": lambda tensors, plain: plain["groups"][0].update(betas=[0.9]),
    "no random state": lambda tensors, plain: tensors.pop("random"),
    "a short random state": lambda tensors, plain: tensors.update(random=tensors["random"][:9]),
    "a random state of fractions": lambda tensors, plain: tensors.update(random=tensors["random"].float()),
    "a slot of another shape": lambda tensors, plain: tensors.update({slot(tensors): torch.zeros(1, 2, 3)}),
    "a slot missing": lambda tensors, plain: tensors.pop(slot(tensors)),
    "a slot of nobody": lambda tensors, plain: tensors.update({"optimiser.9999.step": torch.zeros(())}),
    "a slot without a name": lambda tensors, plain: tensors.update({"optimiser.x": torch.zeros(())}),
    "no weights": lambda tensors, plain: [tensors.pop(name) for name in list(tensors) if name.startswith("network")],
}


@pytest.mark.parametrize("edit", CHECKPOINTS.values(), ids=CHECKPOINTS)
def test_a_checkpoint_of_a_stranger_is_named(
    settings: dict[str, Any], run: Path, edit: Callable[[dict[str, Any], Any], object]
) -> None:
    rewritten(run / "checkpoint.safetensors", edit)
    with pytest.raises(ZerotagError, match=r"checkpoint\.safetensors (is damaged|lacks)"):
        run_in(run, settings, resume=True)


def test_settings_of_the_optimiser_are_those_of_the_run(
    settings: dict[str, Any], uninterrupted: Path, run: Path
) -> None:
    rewritten(
        run / "checkpoint.safetensors", lambda _, plain: plain["groups"][0].update(eps=9.0, maximize=True, new=True)
    )
    run_in(run, settings, resume=True)
    assert_equal_runs(uninterrupted, run)


def test_weights_of_the_best_epoch_are_asked_for_before_the_work(settings: dict[str, Any], run: Path) -> None:
    best = run / "best.safetensors"
    rewritten(best, lambda tensors, plain: plain.update(epoch=0))
    with pytest.raises(ZerotagError, match=r"best\.safetensors is damaged \(it is not of epoch 1.*delete .*checkpoint"):
        run_in(run, settings, resume=True)
    best.unlink()
    with pytest.raises(ZerotagError, match=r"best\.safetensors cannot be read: it is not there; delete .*checkpoint"):
        run_in(run, settings, resume=True)


def test_a_run_does_not_go_on_with_other_labels(settings: dict[str, Any], run: Path) -> None:
    record = json.loads((run / "run.json").read_text())
    record["seen_labels"].reverse()
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(ZerotagError, match=r"began with other labels than its settings come to now"):
        run_in(run, settings, resume=True)


def test_the_rate_falls_in_steps_after_a_stop_too(settings: dict[str, Any], tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what.startswith("Training") and done == 4:
            raise KeyboardInterrupt

    changed = copy.deepcopy(settings)
    changed["optimiser"] |= {"schedule": "steps", "milestones": [2], "epochs": 3}
    with pytest.raises(KeyboardInterrupt):
        run_in(tmp_path / "run", changed, progress=stop)
    log = run_in(tmp_path / "run", changed, resume=True).log()
    rates = [line["learning_rate"] for line in log]
    assert rates == pytest.approx([1e-3, 1e-4, 1e-4])


def test_one_process_alone_writes_to_a_run(settings: dict[str, Any], run: Path, uninterrupted: Path) -> None:
    before = {file: file.read_bytes() for file in run.iterdir()}
    for resume in (False, True):
        refused = pytest.raises(ZerotagError, match=r"another process is writing to .* or choose another --out")
        with held(run, "wait"), refused:
            run_in(run, settings, resume=resume)
    assert {file: file.read_bytes() for file in run.iterdir()} == before
    for work in (evaluate_run, calibrate):
        refused = pytest.raises(ZerotagError, match=r"another process is writing to .* or copy the run")
        with held(uninterrupted, "wait"), refused:
            work(uninterrupted)
