"""Heat maps in files: decoded by workers, so a file that became bad is named and the others are drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from colours import COLOURS
from zerotag.errors import ZerotagError
from zerotag.images import open_picture
from zerotag.tagging.heat_map_files import LABELS_DRAWN, LONGEST_SIDE_PX, files_of, write_heat_maps
from zerotag.tagging.tagger import Tag, Tagger

TAGS = [Tag(name, 1.0, True) for name in COLOURS]


def test_the_best_labels_are_drawn_and_bad_files_are_named(toy_run: Path, tmp_path: Path) -> None:
    Image.new("RGB", (3000, 1500), COLOURS["red"]).save(tmp_path / "large.jpg")
    Image.new("RGB", (40, 30), COLOURS["red"]).save(tmp_path / "small.png")
    Image.new("RGB", (40, 30), COLOURS["red"]).save(tmp_path / "untagged.png")
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    tagged = [("bad.jpg", TAGS), ("large.jpg", TAGS), ("small.png", TAGS[:1]), ("untagged.png", [])]
    failures = write_heat_maps(Tagger.load(toy_run), tmp_path, tagged, tmp_path / "maps")
    assert list(failures) == ["bad.jpg"] and "its content is none of" in failures["bad.jpg"]
    drawn = {path.name: open_picture(path).size for path in (tmp_path / "maps").iterdir()}
    large = {f"large.jpg.{tag.label}.png": (LONGEST_SIDE_PX, LONGEST_SIDE_PX // 2) for tag in TAGS[:LABELS_DRAWN]}
    assert drawn == large | {f"small.png.{TAGS[0].label}.png": (40, 30)}


def test_a_model_without_positions_is_refused(toy_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tagger = Tagger.load(toy_run)
    monkeypatch.setattr(type(tagger.network.model), "has_heat_maps", False)
    with pytest.raises(ZerotagError, match="no heat maps"):
        write_heat_maps(tagger, tmp_path, [("a.png", TAGS)], tmp_path / "maps")


def test_any_label_makes_a_name_that_a_system_takes() -> None:
    labels = ["a/b", "a-b", "..", "x\0y", "\U0001f600" * 100, "\U0001f600" * 101]
    names = [file.name for file in files_of(Path("maps/pic.jpg"), labels)]
    assert len({*names}) == len(labels) and max(len(name.encode()) for name in names) <= 255
    assert names[0] == "pic.jpg.a-b.png" and not any(set("/\0") & set(name) for name in names)
    assert all(file.parent == Path("maps") for file in files_of(Path("maps/pic.jpg"), labels))


def test_a_picture_whose_maps_cannot_be_written_is_named(toy_run: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), COLOURS["red"]).save(tmp_path / f"{'n' * 250}.png")
    failures = write_heat_maps(Tagger.load(toy_run), tmp_path, [(f"{'n' * 250}.png", TAGS)], tmp_path / "maps")
    assert "File name too long" in failures[f"{'n' * 250}.png"]
