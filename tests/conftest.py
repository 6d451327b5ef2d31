"""Shape checks on every annotated function, a cache of the tests' own, and a small world to train on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jaxtyping import install_import_hook
from PIL import Image, ImageDraw

from colours import COLOURS
from fake_sizes import SIZE, SMALL

os.environ.setdefault("HF_HUB_OFFLINE", "1")
install_import_hook("zerotag", "beartype.beartype")

SIDE_PX = 64


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the tests download, extract and encode stays out of the user's cache."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZEROTAG_CACHE", str(folder))
        yield folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of one test's own."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("ZEROTAG_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set: 32 training and 16 test pictures of two squares each, labelled by colour, with boxes."""
    root = tmp_path_factory.mktemp("squares")
    random = np.random.default_rng(0)
    lines = []
    for number in range(48):
        picture = Image.new("RGB", (SIDE_PX, SIDE_PX), (128, 128, 128))
        objects = []
        for index, colour in enumerate(random.choice(list(COLOURS), 2, replace=False).tolist()):
            left, top = index * 32 + int(random.integers(0, 10)), int(random.integers(0, 40))
            box = [left, top, left + 20, top + 20]
            ImageDraw.Draw(picture).rectangle(box, fill=COLOURS[colour])
            objects.append({"box": box, "labels": [colour]})
        picture.save(root / f"{number:02}.png")
        line = {"path": f"{number:02}.png", "split": "train" if number < 32 else "test", "objects": objects}
        lines.append(line | {"labels": [o["labels"][0] for o in objects], "width": SIDE_PX, "height": SIDE_PX})
    (root / "labels.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (root / "labels.txt").write_text("".join(f"{colour}\n" for colour in COLOURS))
    return root


@pytest.fixture(scope="session")
def colour_vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A word-vector file in the format of GloVe: vectors of eight numbers that know what a colour looks like."""
    file = tmp_path_factory.mktemp("vectors") / "colours.8d.txt"
    mixing = np.random.default_rng(1).normal(size=(3, 8))
    rows = {word: (np.array(rgb) / 128 - 1) @ mixing for word, rgb in (COLOURS | {"grey": (128, 128, 100)}).items()}
    file.write_text("".join(f"{word} {' '.join(f'{v:.4f}' for v in row)}\n" for word, row in rows.items()))
    return file


@pytest.fixture(scope="session")
def toy_settings(squares: Path, colour_vectors: Path) -> dict[str, Any]:
    """Settings of a run that takes a second: a frozen backbone with random weights, two epochs."""
    return {
        "data": str(squares),
        "backbone": {"size_px": SIDE_PX, "pretrained": False},
        "vectors": {"source": str(colour_vectors)},
        "model": {"name": "gbe", "options": {"num_groups": 2, "fusion_channels": 8, "grid": 4}},
        "optimiser": {"epochs": 2, "batch_size": 8},
        "selection": {"held_out_labels": 0.25, "held_out_pictures": 0.25},
    }


@pytest.fixture(scope="session")
def toy_run(toy_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of GBE on the squares, with confidences."""
    from zerotag.tagging.calibrate import calibrate
    from zerotag.training.loop import train
    from zerotag.training.settings import Settings

    run = train(Settings.model_validate(toy_settings), tmp_path_factory.mktemp("toy") / "run")
    calibrate(run.folder, toy_settings["data"])
    return run.folder


@pytest.fixture(scope="session")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A fake set in each layout, by its name."""
    from zerotag.datasets import fake_nus_wide

    folder = tmp_path_factory.mktemp("fakes")
    for layout in fake_nus_wide.LAYOUTS:
        fake_nus_wide.make(folder / layout, layout, **SIZE)
    return {layout: folder / layout for layout in fake_nus_wide.LAYOUTS}


@pytest.fixture
def small(tmp_path: Path, cache: Path) -> Callable[[str], Path]:
    """Makes a fake set of 12 pictures in a layout, to be damaged."""
    from zerotag.datasets import fake_nus_wide

    def make(layout: str) -> Path:
        fake_nus_wide.make(tmp_path / "small", layout, **SMALL)
        return tmp_path / "small"

    return make
