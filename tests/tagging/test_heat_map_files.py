"""Heat maps in files: decoded by workers, so a file that became bad is named and the others are drawn."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from colours import COLOURS
from zerotag.errors import UNSHOWN, ZerotagError
from zerotag.images import open_picture
from zerotag.tagging.heat_map_files import LABELS_DRAWN, LONGEST_SIDE_PX, name_of, write_heat_maps
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


@pytest.mark.parametrize("label", ["../../x", "a\0b", "é" * 300, "con:", "a\x1b]0;x\x07", "gpj\u202e", "\ud800"])
def test_a_label_makes_a_name_that_any_system_takes(label: str, tmp_path: Path) -> None:
    name = name_of("a" * 250 + ".jpg", label)
    (tmp_path / name).touch()
    assert len(name.encode()) <= 255 and not UNSHOWN.search(name) and not set(name) & set('/\\:*?"<>|')
    assert name_of("a.jpg", label) != name_of("a.jpg", f"{label}x") and name_of("a.jpg", "sea") == "a.jpg.sea.png"
