"""Run folders of strangers and from bad disks: a sentence for each, and no labels where numbers are none."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from zerotag.errors import ZerotagError
from zerotag.evaluation import evaluate_run
from zerotag.tagging.tagger import Tagger
from zerotag.training import calibration_file, loop, results
from zerotag.training.checkpoint import load_tensors, save_tensors
from zerotag.training.integrity import check_run
from zerotag.training.log import read_log
from zerotag.training.run import load_run
from zerotag.training.settings import load_settings, validate_settings


@pytest.fixture
def run(toy_run: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(toy_run, tmp_path / "run"))


def edited(content: bytes, *path: str | int, to: Any) -> bytes:
    plain = json.loads(content)
    place = plain
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = to
    return json.dumps(plain).encode()


RECORDS: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda good: b"",
    "a list": lambda good: b"[1]",
    "no UTF-8": lambda good: good.replace(b"red", b"r\xe9d"),
    "cut off": lambda good: good[:-20],
    "nested too deep for Python": lambda good: b"[" * 200_000,
    "nested too deep for us": lambda good: edited(good, "versions", to=json.loads("[" * 90 + "]" * 90)),
    "a name twice": lambda good: good.replace(b'"versions"', b'"vectors"'),
    "NaN": lambda good: edited(good, "vectors", "dimension", to=float("nan")),
    "1e999": lambda good: edited(good, "vectors", "dimension", to=0).replace(b'"dimension": 0', b'"dimension": 1e999'),
    "a number of many digits": lambda good: good.replace(b'"seed": 0', b'"seed": ' + b"9" * 5000),
    "a large seed": lambda good: edited(good, "settings", "seed", to=2**70),
    "labels that are numbers": lambda good: edited(good, "seen_labels", to=[1, 2]),
    "no labels": lambda good: edited(good, "seen_labels", to=[]),
    "labels null": lambda good: edited(good, "seen_labels", to=None),
    "an empty label": lambda good: edited(good, "seen_labels", 0, to=""),
    "a label twice": lambda good: edited(good, "seen_labels", 0, to=json.loads(good)["seen_labels"][1]),
    "held out, but not seen": lambda good: edited(good, "held_out_labels", to=["nothing"]),
    "all held out": lambda good: edited(good, "held_out_labels", to=json.loads(good)["seen_labels"]),
    "no channels": lambda good: edited(good, "backbone", to={"name": "x"}),
    "channels of text": lambda good: edited(good, "backbone", "channels", to={"8": "many"}),
    "channels without end": lambda good: edited(good, "backbone", "channels", to={"8": 10**12}),
    "a stride of no number": lambda good: edited(good, "backbone", "channels", to={"-8": 1}),
    "versions of numbers": lambda good: edited(good, "versions", "torch", to=2),
    "pictures without end": lambda good: edited(good, "settings", "backbone", "size_px", to=10**9),
    "a rate of infinity": lambda good: edited(good, "settings", "optimiser", "learning_rate", to=float("inf")),
    "options deep down": lambda good: edited(good, "settings", "model", "options", "grid", to=[[[1]]]),
    "a name of data that is none": lambda good: edited(good, "settings", "data", to="a\0b"),
    "a name of data that is too long": lambda good: edited(good, "settings", "data", to="x" * 5000),
}


@pytest.mark.parametrize("damage", RECORDS.values(), ids=RECORDS)
def test_a_damaged_record_is_named(run: Path, damage: Callable[[bytes], bytes]) -> None:
    file = run / "run.json"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ZerotagError, match=r"run\.json (is damaged|do not hold)"):
        load_run(run)
    (finding,) = check_run(run)
    assert finding.state == "failed" and "run.json" in finding.detail


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
@pytest.mark.parametrize("name", ["run.json", "model.safetensors", "log.jsonl", "results.json"])
def test_a_pipe_is_not_waited_for(run: Path, name: str) -> None:
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    failed = [finding for finding in check_run(run) if finding.state == "failed"]
    assert failed[0].name == name and "it is not a regular file" in failed[0].detail


def weights(run: Path, edit: Callable[[Tensor], Tensor], metadata: dict[str, str] | None = None) -> None:
    tensors, _ = load_tensors(run / "model.safetensors")
    save_file(
        {name: edit(one) if one.is_floating_point() else one for name, one in tensors.items()},
        run / "model.safetensors",
        metadata,
    )


WEIGHTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "NaN": (lambda run: weights(run, lambda one: one * torch.nan), "holds NaN or an infinity"),
    "huge": (lambda run: weights(run, lambda one: torch.full_like(one, 1e38)), "that are no numbers"),
    "in double precision": (lambda run: weights(run, Tensor.double), "holds other numbers than the model"),
    "of another shape": (lambda run: weights(run, lambda one: one[None].clone()), "a model of another shape"),
    "metadata no JSON": (lambda run: weights(run, Tensor.clone, {"plain": "{"}), r"model.safetensors is damaged"),
    "metadata deep": (lambda run: weights(run, Tensor.clone, {"plain": "[" * 200_000}), "nested too deep"),
    "metadata a list": (lambda run: weights(run, Tensor.clone, {"plain": "[1]"}), "have no names"),
    "none": (lambda run: save_file({}, run / "model.safetensors"), "lacks tensor"),
    "a header of lies": (
        lambda run: (run / "model.safetensors").write_bytes(b"\xff" * 8 + b"{}"),
        "model.safetensors is damaged",
    ),
    "a folder": (
        lambda run: ((run / "model.safetensors").unlink(), (run / "model.safetensors").mkdir()),
        "not finished",
    ),
    "of a model without end": (
        lambda run: (run / "run.json").write_bytes(
            edited((run / "run.json").read_bytes(), "settings", "model", "options", "fusion_channels", to=10**6)
        ),
        "was written by a model of another shape",
    ),
    "of a model that cannot be": (
        lambda run: (run / "run.json").write_bytes(
            edited((run / "run.json").read_bytes(), "settings", "model", "options", "fusion_channels", to=-1)
        ),
        "cannot be made with the options",
    ),
}


@pytest.mark.parametrize(("damage", "sentence"), WEIGHTS.values(), ids=WEIGHTS)
def test_damaged_weights_tag_nothing(run: Path, damage: Callable[[Path], object], sentence: str) -> None:
    damage(run)
    with pytest.raises(ZerotagError, match=sentence):
        Tagger.load(run).tag([Image.new("RGB", (64, 64))])


def test_scores_that_are_no_numbers_are_not_judged(run: Path) -> None:
    weights(run, lambda one: torch.full_like(one, 1e38))
    with pytest.raises(ZerotagError, match="scores that are no finite numbers"):
        evaluate_run(run)


CALIBRATIONS: dict[str, Callable[[dict[str, Tensor], dict[str, Any]], object]] = {
    "without labels": lambda tensors, plain: plain.pop("labels"),
    "labels that are numbers": lambda tensors, plain: plain.update(labels=[1]),
    "labels twice": lambda tensors, plain: plain.update(labels=["red"] * len(plain["labels"])),
    "too few labels": lambda tensors, plain: plain["labels"].pop(),
    "no trained": lambda tensors, plain: tensors.pop("trained"),
    "more": lambda tensors, plain: tensors.update(more=torch.zeros(1)),
    "five features": lambda tensors, plain: tensors.update(trained=torch.zeros(5)),
    "whole numbers": lambda tensors, plain: tensors.update(untrained=torch.zeros(4, dtype=torch.int64)),
    "no reference": lambda tensors, plain: tensors.update(reference=torch.zeros(0, 1, 8)),
}


@pytest.mark.parametrize("damage", CALIBRATIONS.values(), ids=CALIBRATIONS)
def test_a_damaged_calibration_is_named(run: Path, damage: Callable[..., object]) -> None:
    file = run / calibration_file.FILE
    tensors, plain = load_tensors(file)
    damage(tensors, plain)
    save_tensors(file, tensors, plain)
    with pytest.raises(ZerotagError, match=r"calibration\.safetensors is damaged .*; run: zerotag calibrate"):
        Tagger.load(run)
    assert [finding.name for finding in check_run(run) if finding.state == "failed"] == [file.name]


def test_a_calibration_of_another_model_is_named(run: Path) -> None:
    file = run / calibration_file.FILE
    tensors, plain = load_tensors(file)
    save_tensors(file, tensors | {"reference": torch.zeros(3, 1, 5)}, plain)
    tagger = Tagger.load(run)
    vocabulary = tagger.vocabulary()
    with pytest.raises(ZerotagError, match="was made for another model"):
        tagger.confidences(np.zeros((1, len(vocabulary.names)), np.float32), vocabulary)


LOGS: dict[str, Callable[[bytes], bytes]] = {
    "its last line cut off": lambda good: good[:-30],
    "a line missing in the middle of it": lambda good: good.replace(b"\n", b"", 1),
    "zeros at its end": lambda good: good + b"\0" * 100,
    "zeros alone": lambda good: b"\0" * len(good),
    "binary": lambda good: bytes(range(256)),
    "no UTF-8": lambda good: good.replace(b"loss", b"l\xf6ss"),
    "a list": lambda good: b"[1]\n" + good,
    "text for numbers": lambda good: good.replace(b'"epoch": 1', b'"epoch": "1"'),
    "NaN": lambda good: b'{"epoch": 1, "step": 3, "loss": NaN, "learning_rate": 1, "seconds": 1}\n',
    "no seconds": lambda good: good.replace(b"seconds", b"minutes"),
    "nesting": lambda good: b"[" * 100_000 + b"\n" + good,
    "an empty line": lambda good: good.replace(b"\n", b"\n\n", 1),
}


@pytest.mark.parametrize("damage", LOGS.values(), ids=LOGS)
def test_a_damaged_log_is_named(run: Path, damage: Callable[[bytes], bytes]) -> None:
    file = run / "log.jsonl"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(ZerotagError, match=r"log\.jsonl is damaged \(line \d.*put it back from a copy, or delete it"):
        read_log(file)
    assert [finding.name for finding in check_run(run) if finding.state == "failed"] == ["log.jsonl"]


RESULTS = [b"", b"[]", b"{}", b'{"settings": {}}', b'{"settings": {"zsl": 1}}', b"\xff", b"[" * 200_000]


@pytest.mark.parametrize("content", RESULTS)
def test_damaged_figures_are_named_before_the_work(run: Path, content: bytes) -> None:
    (run / results.FILE).write_bytes(content)
    with pytest.raises(ZerotagError, match=r"results\.json is damaged .*; delete it, and run: zerotag eval"):
        evaluate_run(run)


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "model.safetensors", "calibration.safetensors"])
def test_a_flipped_bit_is_found(run: Path, name: str) -> None:
    good = (run / name).read_bytes()
    tensors, _ = load_tensors(run / name)
    draw = random.Random(0)
    start_of_tensors = 8 + int.from_bytes(good[:8], "little")
    for place in [draw.randrange(len(good)) for _ in range(10)] + [draw.randrange(start_of_tensors, len(good))]:
        flipped = bytearray(good)
        flipped[place] ^= 1 << draw.randrange(8)
        (run / name).write_bytes(flipped)
        try:
            found, _ = load_tensors(run / name)
        except ZerotagError as error:
            assert f"{name} is damaged" in str(error)
        else:
            assert place < start_of_tensors and all(torch.equal(tensors[key], found[key]) for key in tensors)


def test_files_are_the_same_bytes_each_time_and_plain_safetensors(run: Path) -> None:
    from safetensors.torch import load_file

    file = run / "model.safetensors"
    before = file.read_bytes()
    for _ in range(5):
        save_tensors(file, *load_tensors(file))
        assert file.read_bytes() == before
    assert load_file(file).keys() == load_tensors(file)[0].keys()


def test_what_was_written_without_a_checksum_is_read(run: Path) -> None:
    weights(run, Tensor.clone, {"plain": '{"epoch": 1}'})
    assert len(Tagger.load(run).tag([Image.new("RGB", (64, 64))], top_k=2)[0]) == 2
    assert "written without a checksum" in {f.name: f.detail for f in check_run(run)}["model.safetensors"]


def test_weights_that_are_no_numbers_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(ZerotagError, match=r"grew beyond all bounds; lower optimiser\.learning_rate"):
        save_tensors(tmp_path / "x.safetensors", {"w": torch.tensor([torch.inf])})
    assert not list(tmp_path.iterdir())


def test_a_whole_run_is_found_whole(run: Path, toy_settings: dict[str, Any]) -> None:
    found = list(check_run(run))
    assert {finding.state for finding in found if finding.name != results.FILE} == {"ok"}
    assert {finding.name: finding.state for finding in found}[results.FILE] in ("missing", "ok")
    (run / "run.json").unlink()
    with pytest.raises(ZerotagError, match=r"holds .*model\.safetensors, but not the run\.json"):
        loop.train(validate_settings(toy_settings, "test"), run, resume=True)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"data: [" * 2000, b"a: &a [x]\nb: *c", b"data: 2026-99-99"])
def test_a_settings_file_of_anything_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(ZerotagError, match=r"config\.yaml (is not|do not hold)"):
        load_settings(tmp_path / "config.yaml")
