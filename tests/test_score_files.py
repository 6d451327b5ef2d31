"""Scores and annotations of other programs, and their judgement from files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from zerotag import judgement
from zerotag.cli import app
from zerotag.errors import ZerotagError
from zerotag.judgement import evaluate
from zerotag.labels import LabelSet
from zerotag.protocols import PROTOCOLS
from zerotag.score_files import read_annotations, read_scores

LABELS = LabelSet(tuple(f"label {c}" for c in range(6)), tuple(f"label {c}" for c in range(6, 10)))


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    random = np.random.default_rng(0)
    scores, annotations = tmp_path / "scores.npy", tmp_path / "annotations.npy"
    np.save(scores, random.normal(size=(50, 10)).astype(np.float32))
    np.save(annotations, random.integers(-1, 2, size=(50, 10)).astype(np.int8))
    return scores, annotations


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_mapped_files_in_small_blocks_give_the_same_figures(
    files: tuple[Path, Path], protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays = [np.load(file) for file in files]
    expected = evaluate(*arrays, LABELS, setting="gzsl", protocol=protocol)
    monkeypatch.setattr(judgement, "IMAGE_BLOCK", 70)
    monkeypatch.setattr(judgement, "LABEL_BLOCK", 130)
    mapped = read_scores(files[0]), read_annotations(files[1])
    assert isinstance(mapped[0], np.memmap)
    found = evaluate(*mapped, LABELS, setting="gzsl", protocol=protocol)
    assert replace(found, chance=expected.chance) == expected
    for k, figures in expected.chance.at_k.items():
        assert found.chance.at_k[k] == pytest.approx(figures)


def test_pools_that_hold_too_much_are_refused(files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judgement, "LARGEST_POOLS", 100)
    with pytest.raises(ZerotagError, match="meant for images with few annotated labels, while these have 7 each"):
        evaluate(*map(np.load, files), LABELS, setting="gzsl", protocol="biam-open-images")


def test_the_command_prints_what_evaluate_says(files: tuple[Path, Path], tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("\n".join(LABELS.all))
    options = ["--seen", "6", "--names", str(names), "--protocol", "lesa", "--at", "1,2", "--json"]
    done = CliRunner().invoke(app, ["score", *map(str, files), *options])
    report = evaluate(*map(np.load, files), LABELS, setting="zsl", ks=(1, 2), protocol="lesa")
    assert json.loads(done.stdout)["zsl"] == json.loads(json.dumps(report.to_dict()))
    table = CliRunner().invoke(app, ["score", *map(str, files)]).stdout
    assert "multilabel" in table and "protocol paper" in table


@pytest.mark.parametrize("dtype", [np.int64, np.float32, bool, np.uint8])
def test_ones_and_zeros_are_told_apart_from_unknown(tmp_path: Path, dtype: Any) -> None:
    file = tmp_path / "hot.npy"
    np.save(file, np.array([[1, 0], [0, 1]], dtype))
    with pytest.raises(ZerotagError, match="--zeros-are-negative"):
        read_annotations(file)
    assert read_annotations(file, zeros_are_negative=True).tolist() == [[1, -1], [-1, 1]]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[2, 0]]), "values from 0 to 2"),
        (np.array([[0.5, -1.0]]), "1, 0 and -1 alone"),
        (np.zeros(3), "two axes"),
        (np.array([["dog"]]), "two axes"),
        (np.array([[{}]], object), "no NumPy array of numbers"),
    ],
)
def test_other_annotations_are_refused(tmp_path: Path, values: np.ndarray, message: str) -> None:
    file = tmp_path / "values.npy"
    np.save(file, values, allow_pickle=True)
    with pytest.raises(ZerotagError, match=message) as caught:
        read_annotations(file)
    assert str(file) in str(caught.value)


def test_files_that_are_none(tmp_path: Path) -> None:
    text = tmp_path / "scores.csv"
    text.write_text("0.5,0.25\n")
    with pytest.raises(ZerotagError, match="no NumPy array of numbers"):
        read_scores(text)
    with pytest.raises(ZerotagError, match="cannot be read"):
        read_scores(tmp_path / "none.npy")
    whole = tmp_path / "whole.npy"
    np.save(whole, np.zeros((2, 2), np.int64))
    with pytest.raises(ZerotagError, match="int64"):
        read_scores(whole)
    signed = tmp_path / "signed.npy"
    np.save(signed, np.array([[1, -1, 0]]))
    with pytest.raises(ZerotagError, match="zeros are unknown"):
        read_annotations(signed, zeros_are_negative=True)
    cut = tmp_path / "cut.npy"
    cut.write_bytes(whole.read_bytes()[:-8])
    with pytest.raises(ZerotagError, match="no NumPy array of numbers"):
        read_annotations(cut)


def test_more_seen_labels_than_there_are(files: tuple[Path, Path]) -> None:
    done = CliRunner().invoke(app, ["score", *map(str, files), "--seen", "11"])
    assert "--seen 11 is more than the 10 labels" in str(done.exception)


def test_numbers_of_labels_that_are_none(files: tuple[Path, Path]) -> None:
    for text in ("3,x", "0", "", "-1"):
        done = CliRunner().invoke(app, ["score", *map(str, files), "--at", text])
        assert "is no number of labels" in str(done.exception)


@pytest.mark.parametrize(
    ("place", "put_in"),
    [
        (b"'<f8'", b"[   '"),
        (b"(2, 2)", b"(2, 08"),
        (b"(2, 2)", b"(-2,2)"),
        (b"(2, 2)", b"(9**9)"),
        (b"(2, 2)", b"(2, 9)"),
        (b"'<f8'", b"'|O'  "),
        (b"\x93NUMPY", b"PK\x03\x04aa"),
        (b"\x93NUMPY", b"\x80\x04cos\n"),
    ],
)
def test_damaged_headers(tmp_path: Path, place: bytes, put_in: bytes) -> None:
    file = tmp_path / "damaged.npy"
    np.save(file, np.zeros((2, 2)))
    file.write_bytes(file.read_bytes().replace(place, put_in))
    with pytest.raises(ZerotagError, match="no NumPy array of numbers"):
        read_scores(file)


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "empty.npy").touch()
    with pytest.raises(ZerotagError, match="no NumPy array of numbers"):
        read_scores(tmp_path / "empty.npy")
