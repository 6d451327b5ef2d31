"""The pocket data sets, built small from emoji of the tests' own, and the facts about the real ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest

from zerotag.datasets import dataset_folder, load_dataset, pocket
from zerotag.datasets.emoji import STYLES, Emoji, load_emoji, render
from zerotag.datasets.folder import read_folder
from zerotag.datasets.pocket import build_pocket_emoji, build_pocket_scenes
from zerotag.datasets.scenes import MAX_OBJECTS, MAX_OVERLAP, SCENE_PX, compose
from zerotag.errors import ZerotagError
from zerotag.storage import cache_folder

REAL_CACHE = cache_folder()  # asked for while the tests are collected, before they get a cache of their own
WORDS = ("animal", "sea", "food", "happy", "night", "travel")


def drawn(number: int) -> Emoji:
    colour = f"#{(number * 40503) % 2**24:06x}"
    drawings = {
        style: f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 36 36"><rect x="{4 + index}" y="6" width="24" '
        f'height="18" fill="{colour}"/></svg>'
        for index, style in enumerate(STYLES)
    }
    words = tuple(sorted({WORDS[number % 6], WORDS[number // 6 % 6]}))
    return Emoji(f"1F{number:03X}", f"thing {number}", words, drawings)


@pytest.fixture(autouse=True)
def few_emoji(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pocket, "load_emoji", lambda: [drawn(number) for number in range(60)])


def build_small(root: Path, **options: Any) -> Path:
    return build_pocket_scenes(root, num_train=24, num_test=12, **options)


def content(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def names_in(root: Path, split: str) -> set[str]:
    records = [json.loads(line) for line in (root / "labels.jsonl").read_text().splitlines()]
    return {thing["name"] for record in records if record["split"] == split for thing in record["objects"]}


def test_a_process_reads_it_once_and_anew_when_it_was_built_again() -> None:
    root = dataset_folder("pocket-scenes")
    build_small(root)
    once = load_dataset("pocket-scenes")
    assert load_dataset("pocket-scenes") is once
    with pytest.raises(ValueError, match="read-only"):
        once.annotations[0] = 1
    shutil.rmtree(root)
    build_small(root, seed=1)
    assert np.any(load_dataset("pocket-scenes").annotations != once.annotations)


@pytest.mark.parametrize("build", [build_small, build_pocket_emoji])
def test_the_same_seed_gives_the_same_bytes(build: Callable[..., Path], tmp_path: Path) -> None:
    one, same, other = (content(build(tmp_path / name, seed=seed)) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert one == same
    assert one != other
    assert "OpenMoji" in one["ATTRIBUTION.md"].decode()


@pytest.mark.parametrize("development", [False, True])
def test_no_emoji_of_the_test_scenes_is_in_a_training_scene(development: bool, tmp_path: Path) -> None:
    root = build_small(tmp_path / "scenes", development=development)
    assert names_in(root, "train") and names_in(root, "test")
    assert not names_in(root, "train") & names_in(root, "test")


def test_scenes_for_choosing_settings_hold_no_test_emoji(tmp_path: Path) -> None:
    real, development = (build_small(tmp_path / str(flag), development=flag) for flag in (False, True))
    assert not (names_in(development, "train") | names_in(development, "test")) & names_in(real, "test")


@pytest.mark.parametrize("pictures", [1, 20, 36])
def test_an_interrupted_build_goes_on_to_the_same_bytes(pictures: int, tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if what == "Painting pictures" and done == pictures:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_small(tmp_path / "a", progress=stop)
    assert not (tmp_path / "a" / "dataset.json").exists()
    assert content(build_small(tmp_path / "a")) == content(build_small(tmp_path / "b"))


def test_a_finished_build_is_left_as_it_is(tmp_path: Path) -> None:
    root = build_small(tmp_path / "a")
    times = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    assert build_small(root) == root
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == times


def test_of_two_at_once_one_builds(tmp_path: Path) -> None:
    together, painted = Barrier(2), []

    def count(what: str, done: int, total: int) -> None:
        if what == "Painting pictures":
            painted.append(done)

    def work(_: int) -> Path:
        together.wait()
        return build_small(tmp_path / "a", progress=count)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, range(2)))
    assert painted == list(range(1, 37))
    assert content(tmp_path / "a") == content(build_small(tmp_path / "b"))


@pytest.mark.parametrize("name", ["dataset.json", "building.json"])
@pytest.mark.parametrize("text", ["", "[]", "{}", "\0"])
def test_a_damaged_recipe_is_named(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ZerotagError, match=rf"{name} is damaged; delete the folder .*, and build it again"):
        build_small(tmp_path)


def test_boxes_hold_the_drawing(tmp_path: Path) -> None:
    root = build_small(tmp_path / "a")
    dataset = read_folder(root)
    assert dataset.objects is not None and len(dataset.rows("train")) == 24
    assert set(dataset.labels) == set(WORDS)
    with pocket.Image.open(root / dataset.paths[0]) as picture:
        pixels = np.array(picture)
    assert pixels.shape == (SCENE_PX, SCENE_PX, 3)
    ground = pixels[0, 0]
    y, x = np.nonzero((abs(pixels.astype(int) - ground) > 30).any(2))
    centres = np.stack([x + 0.5, y + 0.5], 1) / SCENE_PX
    boxes = np.array([thing.box for thing in dataset.objects[0]])
    margin = 2 / SCENE_PX  # resampling bleeds over the edge
    low, high = boxes[:, None, :2] - margin, boxes[:, None, 2:] + margin
    inside = ((low <= centres) & (centres <= high)).all(2)
    assert inside.any(0).all(), "every painted pixel lies in a box"
    assert (inside.sum(1) / len(centres) > 0.05).all(), "no box is empty"


def test_scenes_are_composed_as_said() -> None:
    pool = [drawn(number) for number in range(60)]
    scenes = [compose(pool, np.random.default_rng(seed)) for seed in range(200)]
    assert {len(scene.objects) for scene in scenes} == set(range(1, MAX_OBJECTS + 1))
    for scene in scenes:
        for index, one in enumerate(scene.objects):
            assert 0 <= one.x <= SCENE_PX - one.size and 0 <= one.y <= SCENE_PX - one.size
            for other in scene.objects[:index]:
                wide = min(one.x + one.size, other.x + other.size) - max(one.x, other.x)
                high = min(one.y + one.size, other.y + other.size) - max(one.y, other.y)
                assert max(0, wide) * max(0, high) <= MAX_OVERLAP * min(one.size, other.size) ** 2
    assert compose(pool, np.random.default_rng(3)) == scenes[3]


def test_a_folder_that_holds_something_else_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(ZerotagError, match="is not empty and holds no pocket data set"):
        build_small(tmp_path)
    root = build_small(tmp_path / "scenes")
    with pytest.raises(ZerotagError, match=r"of other settings \(seed 0\)"):
        build_small(root, seed=1)


@pytest.mark.skipif(
    not all((REAL_CACHE / "archives" / archive.filename).exists() for archive in STYLES.values()),
    reason="the archives were not fetched on this machine",
)
def test_the_real_emoji_are_1644_in_three_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROTAG_CACHE", str(REAL_CACHE))
    emoji = load_emoji()
    assert len(emoji) == 1644
    assert all(set(one.drawings) == set(STYLES) for one in emoji)
    assert len({word for one in emoji for word in one.words}) == 3532
    drawing = render(emoji[0].drawings["noto"], 64)
    assert drawing.size == (64, 64) and drawing.getchannel("A").getextrema() == (0, 255)
