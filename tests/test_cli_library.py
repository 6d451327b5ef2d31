"""A picture library from the command line: tagged, searched, handed on, corrected, cleaned up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shell import Shell

WORDS = "labels: [{name: red, parent: warm}, blue, grey]\n"


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    (tmp_path / "words.yaml").write_text(WORDS)
    return tmp_path / "words.yaml"


@pytest.fixture
def album(squares: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    folder.mkdir()
    for path in sorted(squares.glob("*.png"))[:12]:
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_a_library_from_first_to_last(shell: Shell, toy_run: Path, album: Path, words: Path, tmp_path: Path) -> None:
    code, out, _ = shell("tag", toy_run, album, "--labels", words, "--top-k", 2, "--dry-run")
    assert code == 0 and "12 pictures: 12 would be read" in out and not (tmp_path / "album.zerotag").exists()
    code, out, _ = shell("tag", toy_run, album, "--labels", words, "--top-k", 2, "--sidecars")
    assert code == 0 and "12 read, 12 computed, 0 failed" in out and "raw score" not in out
    assert "XMP files: 12 written" in out and len(list(album.glob("*.xmp"))) == 12
    code, out, _ = shell("tag", toy_run, album, "--labels", words, "--top-k", 2, "--sidecars", "--json")
    assert code == 0 and json.loads(out.splitlines()[-1])["sidecars"]["num_same"] == 12
    assert json.loads(out.splitlines()[-2])["summary"]["num_computed"] == 0

    code, out, _ = shell("search", album, "pink", "-blue", "--top", 3, "--json")
    assert code == 0 and len(json.loads(out)) == 3
    code, out, _ = shell("search", tmp_path / "album.zerotag", "--like", album / "03.png", "--top", 1)
    assert code == 0 and "03.png" in out

    code, out, _ = shell("export", album, tmp_path / "out.jsonl", "--format", "jsonl")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert code == 0 and len(lines) == 12 and all(len(line["labels"]) == 2 for line in lines)
    code, _, err = shell("export", album, tmp_path / "out", "--format", "cvs")
    assert code == 1 and "did you mean: csv" in err

    code, out, _ = shell("untag", album)
    assert code == 0 and "12 removed" in out and not list(album.glob("*.xmp"))


def test_new_words_need_no_pictures(shell: Shell, toy_run: Path, album: Path, words: Path) -> None:
    shell("tag", toy_run, album, "--labels", words)
    for path in album.glob("*.png"):
        path.chmod(0)  # what is not opened cannot fail
    code, out, _ = shell("tag", toy_run, album, "--top-k", 1, "--min-confidence", 0.0, "--json")
    *pictures, summary = map(json.loads, out.splitlines())
    assert code == 0 and len(pictures) == 12 and summary["summary"]["num_new"] == 0
    assert all(0 <= tag["confidence"] <= 1 for picture in pictures for tag in picture["tags"])


def test_a_calibration_is_reported(shell: Shell, toy_run: Path, squares: Path, tmp_path: Path) -> None:
    code, out, _ = shell("calibrate", toy_run, squares, "--figure", tmp_path / "trust.png")
    assert code == 0 and "with training pictures" in out
    assert (tmp_path / "trust.png").read_bytes().startswith(b"\x89PNG")
    code, out, _ = shell("calibrate", toy_run, squares, "--json")
    assert json.loads(out)["trained"]["num_labels"] > 0


def test_lists_of_words(shell: Shell, words: Path) -> None:
    code, out, _ = shell("labels", "list")
    assert code == 0 and out.split() == ["imagenet", "photographer", "pocket"]
    assert shell("labels", "list", words)[1].splitlines() == ["red < warm", "blue", "grey"]
    code, out, _ = shell("labels", "check", words, "--json")
    assert code == 0 and json.loads(out)["num_labels"] == 3
    assert "near-synonyms" in shell("labels", "check", words)[1]


def test_a_model_for_other_programs(shell: Shell, toy_run: Path, words: Path, tmp_path: Path) -> None:
    code, out, _ = shell("onnx", toy_run, tmp_path / "toy.onnx", "--labels", words)
    assert code == 0 and out.split() == [str(tmp_path / "toy.onnx"), str(tmp_path / "toy.labels.npz")]


def test_a_server_for_nothing(shell: Shell, tmp_path: Path) -> None:
    code, _, err = shell("serve", tmp_path / "none")
    assert code == 1 and "there is no run" in err and "conse-imagenet" in err


def test_a_place_that_cannot_be_written(shell: Shell, toy_run: Path, squares: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    shell("tag", toy_run, squares, "--catalogue", tmp_path / "c.zerotag")
    code, out, err = shell("export", tmp_path / "c.zerotag", tmp_path / "file" / "tags.csv")
    assert code == 1 and out == "" and "name another place" in err and "Traceback" not in err
    code, _, err = shell("report", toy_run, "--out", tmp_path / "file" / "report.html")
    assert code == 1 and "Traceback" not in err
