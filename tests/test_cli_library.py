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
    assert code == 1 and out == "" and "cannot be written" in err and "name another file" in err
    code, _, err = shell("report", toy_run, "--out", tmp_path / "file" / "report.html")
    assert code == 1 and "Traceback" not in err


def test_exit_statuses_say_how_many_pictures_failed(
    shell: Shell, toy_run: Path, album: Path, words: Path, tmp_path: Path
) -> None:
    tag = ["tag", toy_run, album, "--labels", words]
    assert shell(*tag)[0] == 0
    (album / "bad.png").write_text("no picture")
    assert shell(*tag, "--dry-run")[0] == 0 and shell(*tag)[0] == 3
    assert shell(*tag, "--dry-run")[0] == 3 and shell(*tag, "--json")[0] == 3
    assert shell(*tag, "--exclude", "bad.png")[0] == 0
    assert shell(*tag, "--include", "bad.png")[0] == 1
    assert shell(*tag, "--top-k", 0)[0] == 2
    code, out, err = shell(*tag, "--exclude", "!")
    assert code == 1 and out == "" and "--exclude '!' is not a pattern" in err


def test_exit_statuses_say_how_many_xmp_files_failed(shell: Shell, toy_run: Path, album: Path, words: Path) -> None:
    tag = ["tag", toy_run, album, "--labels", words, "--sidecars"]
    pictures = sorted(album.glob("*.png"))
    for path in pictures[1:]:
        path.unlink()
    sidecar = album / f"{pictures[0].name}.xmp"
    sidecar.symlink_to(album / "elsewhere.xmp")
    code, out, err = shell(*tag)
    assert code == 1 and "XMP files: 0 written, 0 as they were, 1 failed" in out and "it is a link" in err
    (album / "copy.png").write_bytes(pictures[0].read_bytes())
    assert shell(*tag)[0] == 3 and (album / "copy.png.xmp").exists()
    sidecar.unlink()
    assert shell(*tag)[0] == 0
    (album / "copy.png.xmp").rename(album / "kept")
    (album / "copy.png.xmp").symlink_to(album / "kept")
    assert shell("untag", album)[0] == 3 and shell("untag", album)[0] == 1
    (album / "copy.png.xmp").unlink()
    assert shell("untag", album)[0] == 0


def test_help_tells_the_exit_statuses(shell: Shell) -> None:
    for command in ([], ["tag"], ["untag"]):
        assert "Exit status: 0 when all went well; 1 when" in " ".join(shell(*command, "--help")[1].split())


def test_what_is_passed_over_is_said(shell: Shell, toy_run: Path, album: Path, words: Path) -> None:
    for name in ("a.cr2", "b.cr2", "c.mp4", "d"):
        (album / name).touch()
    (album / "@eaDir").mkdir()
    (album / "@eaDir" / "e.png").write_bytes((album / "00.png").read_bytes())
    code, out, _ = shell("tag", toy_run, album, "--labels", words)
    last = out.splitlines()[-1]
    assert code == 0 and last.startswith("12 pictures: 12 read, 12 computed, 0 failed; 4 other files passed over: ")
    assert "2 .cr2, 1 without suffix, 1 .mp4; " in last
    _, out, _ = shell("tag", toy_run, album, "--labels", words, "--json")
    summary = json.loads(out.splitlines()[-1])["summary"]
    assert summary["passed_over"] == {".cr2": 2, ".mp4": 1, "": 1} and summary["unlisted"] == {}


def test_a_folder_without_pictures_tells_what_is_in_it(shell: Shell, toy_run: Path, tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "a.cr2").touch()
    code, _, err = shell("tag", toy_run, tmp_path / "raw")
    assert code == 1 and "holds no pictures" in err and err.endswith("; 1 other file passed over: 1 .cr2\n")
