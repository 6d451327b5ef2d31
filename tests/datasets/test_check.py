"""A check says what is odd about a data set, and all that would stop its training."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from shell import Shell
from zerotag.datasets.check import check

Rows = list[tuple[list[str], str]]


def folder(root: Path, rows: Rows) -> str:
    for number in range(len(rows)):
        Image.new("RGB", (8, 8), (number * 20, 90, 120)).save(root / f"{number}.png")
    lines = [{"path": f"{number}.png", "labels": labels, "split": split} for number, (labels, split) in enumerate(rows)]
    (root / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(root)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([(["dog", "sea"], "test")], "there are no training pictures"),
        ([([], "train"), (["dog", "sea"], "test")], "no training picture has a label"),
        ([(["dog"], "train"), (["dog"], "test")], "labels to train on: 1; two are needed"),
        ([(["dog", "sea", "猫"], "train"), ([], "test")], "1 labels have no vector in minilm: '猫'"),
    ],
)
def test_what_would_stop_training_is_named(rows: Rows, reason: str, tmp_path: Path) -> None:
    (found,) = check(folder(tmp_path, rows)).stops
    assert reason in found


def test_nothing_stops_the_training_on_a_sound_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: Rows = [(["dog", "sea", "猫"], "train"), (["dog"], "test")]
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    assert check(folder(tmp_path, rows)).stops == (), "without the text encoder nothing is known of vectors"


def test_labels_that_hardly_differ_and_labels_in_one_are_odd(tmp_path: Path) -> None:
    rows: Rows = [(["Red", "red", "dog, cat"], "train"), (["red"], "test")]
    alike, joined = check(folder(tmp_path, rows)).doubts
    assert "'Red' = 'red'" in alike and "'dog, cat'" in joined


def test_pictures_are_opened_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = folder(tmp_path, [(["dog", "sea"], "train"), (["sea"], "train"), (["sea"], "test")])
    (tmp_path / "1.png").write_bytes((tmp_path / "1.png").read_bytes()[:-30])
    (tmp_path / "2.png").write_text("no picture")
    shell = Shell(monkeypatch, capsys)
    assert "broken" not in shell("data", "check", data)[1]
    code, out, _ = shell("data", "check", data, "--open", "--json")
    assert code == 0 and json.loads(out)["broken"].keys() == {"1.png", "2.png"} and json.loads(out)["stops"] == []
    assert "broken: 2.png: its content is none of" in shell("data", "check", data, "--open")[1]


def test_a_set_without_any_label_is_checked(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    content = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [], "categories": []}
    (tmp_path / "labels.json").write_text(json.dumps(content))
    found = check(str(tmp_path))
    assert "labels to train on: 0" in found.stops[-1] and found.splits["train"].unknown == 0
