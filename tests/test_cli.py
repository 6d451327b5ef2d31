"""The command line as a user meets it: what it prints, what it writes, and one sentence for each mistake."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from PIL import Image
from typer.core import TyperArgument, TyperOption

from colours import COLOURS
from shell import Shell
from zerotag import cli, doctor
from zerotag.datasets import archives
from zerotag.errors import ZerotagError
from zerotag.models import list_models
from zerotag.tagging.tagger import Tagger


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(monkeypatch, capsys)


@pytest.fixture(scope="module")
def runs(toy_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished runs, gbe and fast0tag, made by the command line, and the settings they were made from."""
    folder = tmp_path_factory.mktemp("runs")
    fast0tag = {"name": "fast0tag", "options": {"hidden": [16]}}
    for name, model in (("gbe", toy_settings["model"]), ("fast0tag", fast0tag)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(toy_settings | {"model": model}))
        with pytest.MonkeyPatch.context() as patch:
            for words in (["train", folder / f"{name}.yaml", "--out", folder / name], ["eval", folder / name]):
                patch.setattr(sys, "argv", ["zerotag", *map(str, words)])
                cli.app(standalone_mode=False)
    return folder


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    (folder / "trip").mkdir(parents=True)
    for name in ("a.png", "trip/b.png"):
        Image.new("RGB", (80, 60), COLOURS["red"]).save(folder / name)
    (folder / "bad.jpg").write_bytes(b"no picture")
    return folder


def test_no_help_text_holds_what_markdown_leaves_out() -> None:
    def texts(command: Any) -> Iterator[str]:
        yield command.help or ""
        yield from (option.help or "" for option in command.params if isinstance(option, TyperOption | TyperArgument))
        for one in getattr(command, "commands", {}).values():
            yield from texts(one)

    found = list(texts(typer.main.get_command(cli.app)))
    assert len(found) > 100 and not [text for text in found if re.search(r"<\w+>", text)]


def test_figures_come_as_a_table_and_as_json(shell: Shell, runs: Path) -> None:
    code, out, _ = shell("eval", runs / "gbe")
    assert code == 0 and "mAP" in out and "pointing game" in out
    _, out, _ = shell("eval", runs / "gbe", "--setting", "gzsl", "--json")
    assert json.loads(out)["settings"]["gzsl"]["num_labels"] == 10
    assert set(json.loads((runs / "gbe" / "results.json").read_text())["settings"]) == {"zsl", "gzsl"}


def test_a_folder_is_tagged_and_bad_pictures_are_named(shell: Shell, runs: Path, album: Path, tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("red\nblue\ngrey\n")
    before = {path: path.read_bytes() for path in album.rglob("*.*")}
    code, out, err = shell("tag", runs / "gbe", album, "--labels", tmp_path / "words.txt", "--top-k", 2)
    assert code == 3 and "a.png" in out and "trip/b.png" in out
    assert "skipped 'bad.jpg': its content is none of" in err
    assert "3 pictures: 3 read, 1 computed, 1 failed" in out  # two of them are the same picture
    assert {path: path.read_bytes() for path in album.rglob("*.*")} == before


def test_tags_as_json_are_those_of_the_library(shell: Shell, runs: Path, album: Path) -> None:
    _, out, _ = shell("tag", runs / "gbe", album, "--json", "--top-k", 3)
    *pictures, bad, summary = map(json.loads, out.splitlines())
    tags = Tagger.load(runs / "gbe").tag([album / "a.png"], top_k=3)[0]
    assert [row["path"] for row in pictures] == ["a.png", "trip/b.png"]
    assert pictures[0]["tags"] == [vars(tag) | {"score": pytest.approx(tag.score, abs=0.01)} for tag in tags]
    assert bad["path"] == "bad.jpg" and summary["summary"]["num_computed"] == 1


def test_heat_maps_are_written_beside_nothing_of_the_users(
    shell: Shell, runs: Path, album: Path, tmp_path: Path
) -> None:
    code, _, _ = shell("tag", runs / "gbe", album, "--heatmaps", tmp_path / "maps", "--top-k", 2)
    maps = sorted(path.relative_to(tmp_path / "maps").as_posix() for path in (tmp_path / "maps").rglob("*.png"))
    assert code == 3 and len(maps) == 4 and maps[0].startswith("a.png.") and maps[2].startswith("trip/b.png.")
    with Image.open(tmp_path / "maps" / maps[0]) as drawn:
        assert drawn.size == (80, 60)


def test_a_label_without_a_vector_stops_the_command_unless_allowed(
    shell: Shell, runs: Path, album: Path, tmp_path: Path
) -> None:
    (tmp_path / "words.txt").write_text("red\nxylophone\n")
    code, out, err = shell("tag", runs / "gbe", album, "--labels", tmp_path / "words.txt")
    assert code == 1 and out == "" and "xylophone" in err and "--allow-missing" in err
    code, out, err = shell("tag", runs / "gbe", album, "--labels", tmp_path / "words.txt", "--allow-missing")
    assert code == 3 and "red" in out and "left out 'xylophone'" in err


def test_the_report_holds_all_it_needs(shell: Shell, runs: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    code, out, _ = shell("report", runs / "gbe", runs / "fast0tag", "--out", page)
    text = page.read_text()
    assert code == 0 and out.strip() == str(page)
    assert text.count("<td>fast0tag</td>") == 2 and text.count("<td>chance</td>") == 2
    assert "data:image/webp;base64," in text and "heat map of" in text and "<polyline" in text
    assert re.findall(r'(?:src|href)="(?!data:)', text) == []


def test_a_report_of_runs_that_do_not_compare_is_refused(
    shell: Shell, runs: Path, toy_settings: dict[str, Any], tmp_path: Path
) -> None:
    shell("train", runs / "gbe.yaml", "--seed", 1, "--out", tmp_path / "other")
    code, _, err = shell("report", runs / "gbe", tmp_path / "other", "--out", tmp_path / "r.html")
    assert code == 1 and "was not evaluated; run: zerotag eval" in err
    shell("eval", tmp_path / "other")
    code, _, err = shell("report", runs / "gbe", tmp_path / "other", "--out", tmp_path / "r.html")
    assert code == 1 and "another label split (seed)" in err and not (tmp_path / "r.html").exists()


def test_features_are_extracted_by_command(shell: Shell, squares: Path) -> None:
    code, out, _ = shell("features", squares, "--size-px", 32)
    assert code == 0 and out.startswith("48 pictures, maps in ")
    code, averaged, _ = shell("features", squares, "--size-px", 64, "--map-side", 1)
    assert code == 0 and averaged != out
    code, _, err = shell("features", squares, "--map-side", 0)
    assert code == 2 and "map-side" in err


def test_models_and_recipes_are_listed(shell: Shell) -> None:
    _, out, _ = shell("models")
    assert all(text in out for text in ("gbe-literal", "attention_per_cluster", "Fast zero-shot"))
    _, out, _ = shell("models", "--json")
    assert list(json.loads(out)["models"]) == list_models()


def test_the_doctor_tells_what_is_there(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "npm_command", lambda: ["false"])
    code, out, _ = shell("doctor", "--json")
    states = {finding["name"]: finding["state"] for finding in json.loads(out)}
    assert code == 1 and states["npm registry"] == "failed"
    assert states["torch"] == states["speed"] == "ok"
    monkeypatch.setattr(doctor, "npm_command", lambda: ["true"])
    monkeypatch.setattr(doctor, "PACKAGES", {"pocket": ("no-such-package",)})
    code, out, _ = shell("doctor")
    assert code == 0 and "pip install 'zerotag[pocket]'" in out


GROUPS = [[], ["data"], ["labels"]]
SINGLE = [
    "features",
    "train",
    "eval",
    "tag",
    "calibrate",
    "search",
    "export",
    "untag",
    "serve",
    "onnx",
    "report",
    "models",
    "doctor",
]
COMMANDS = [*GROUPS, ["data", "build"], ["labels", "check"], *([name] for name in SINGLE)]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_teaches(command: list[str], shell: Shell) -> None:
    code, out, _ = shell(*command, "--help")
    assert code == 0 and "Usage" in out
    if command and command not in (["data"], ["labels"], ["models"], ["doctor"]):
        assert "Example: zerotag" in " ".join(re.sub(r"[`│]", "", out).split())


def unreachable(archive: archives.Archive, folder: Path) -> None:
    raise ZerotagError(f"{archive.package} could not be fetched from the npm registry")


MISTAKES = {
    "no such pocket data": (["data", "build", "pocket-scene"], "did you mean: pocket-scenes"),
    "registry out of reach": (["data", "build", "pocket-emoji", "--out", "{tmp}/emoji"], "could not be fetched"),
    "no such data set": (["features", "{tmp}/none"], "neither a folder nor one of"),
    "folder without a table": (["features", "{tmp}"], "neither labels.jsonl nor labels.csv"),
    "no such backbone": (["features", "{data}", "--backbone", "resnet5000"], "no backbone called 'resnet5000'"),
    "no such settings": (["train", "none.yaml"], "there is no settings file"),
    "a setting that does not hold": (["train", "{runs}/gbe.yaml", "--set", "seed=x"], "'seed': it should be"),
    "an option no model has": (
        ["train", "{runs}/gbe.yaml", "--set", "model.options.colour=1", "--out", "{tmp}/r"],
        "no option of model gbe called 'colour'",
    ),
    "a run that is there already": (["train", "{runs}/gbe.yaml", "--out", "{runs}/gbe"], "add --resume"),
    "no such run": (["eval", "{tmp}"], "holds no run"),
    "no such setting of evaluation": (["eval", "{runs}/gbe", "--setting", "zls"], "did you mean: zsl"),
    "no pictures": (["tag", "{runs}/gbe", "{tmp}"], "holds no pictures"),
    "no such folder": (["tag", "{runs}/gbe", "{tmp}/none"], "there is no folder"),
    "no calibration": (["tag", "{runs}/gbe", "{data}", "--min-confidence", "0.5"], "zerotag calibrate RUN DATA"),
    "no catalogue": (["search", "{tmp}/none", "red"], "there is no catalogue"),
    "no such export": (["export", "{tmp}/none", "{tmp}/out"], "there is no catalogue"),
    "no such list of words": (["labels", "list", "photographr"], "cannot be read"),
    "an empty label file": (["tag", "{runs}/gbe", "{data}", "--labels", "{tmp}/empty.txt"], "holds no labels"),
    "a label twice": (["tag", "{runs}/gbe", "{data}", "--labels", "{tmp}/twice.txt"], "and again on 2"),
    "no heat maps": (["tag", "{runs}/fast0tag", "{data}", "--heatmaps", "{tmp}/maps"], "has no heat maps"),
    "a report of nothing": (["report", "{tmp}"], "holds no run"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence(
    mistake: str, shell: Shell, runs: Path, squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "run_npm_pack", unreachable)
    (tmp_path / "empty.txt").touch()
    (tmp_path / "twice.txt").write_text("red\nred\n")
    words, message = MISTAKES[mistake]
    code, out, err = shell(*(word.format(tmp=tmp_path, runs=runs, data=squares) for word in words))
    assert code == 1 and out == ""
    last = err.strip().splitlines()[-1]
    assert last.startswith("zerotag: ") and message in last
    assert "Traceback" not in err
