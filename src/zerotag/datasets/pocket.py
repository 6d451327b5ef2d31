"""The pocket data sets: real pictures with human tags that the npm registry delivers in a minute.

Both are split by emoji, so no drawing of a test emoji is seen in training, and both are written in the layout
that :mod:`zerotag.datasets.folder` reads.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from zerotag.datasets.emoji import EMOJIBASE, OPENMOJI, STYLES, Emoji, load_emoji, render, render_png
from zerotag.datasets.scenes import DRAWING_PX, SCENE_PX, Scene, box_px, compose, paint
from zerotag.errors import ZerotagError
from zerotag.locks import alone
from zerotag.progress import Progress, silent
from zerotag.storage import full_disk_explained, write_atomically

TEST_EMOJI_FRACTION = 0.25
EMOJI_STREAM = 99
BEGUN, FINISHED = "building.json", "dataset.json"

Record = dict[str, Any]


def build_pocket_scenes(
    root: Path,
    *,
    seed: int = 0,
    num_train: int = 6000,
    num_test: int = 2000,
    development: bool = False,
    progress: Progress = silent,
) -> Path:
    """Write ``pocket-scenes``: 1-5 emoji at random places and sizes on a plain ground, 224 x 224 pixels.

    The labels are the words on at least 1/120 of the training and 1/100 of the test scenes (50 and 20 at full
    size); every object keeps its box. The same seed gives the same bytes. An interrupted build goes on where
    it was; a finished one is left as it is.

    Args:
        root: where to write.
        seed: of the split of the emoji and of all scenes.
        num_train: number of training scenes.
        num_test: number of test scenes.
        development: make both splits from the training emoji alone, so that settings can be chosen by its figures
            without a look at a test emoji.
        progress: told of each drawing and picture.

    Raises:
        ZerotagError: ``root`` holds something else, the archives cannot be fetched, or the disk is full.
    """
    name = "pocket-scenes-dev" if development else "pocket-scenes"
    recipe = _recipe(name, seed, train=num_train, test=num_test)

    def build() -> None:
        train_emoji, test_emoji = _split_emoji(load_emoji(), seed)
        if development:
            train_emoji, test_emoji = _split_emoji(train_emoji, seed)
        scenes = {
            f"images/{split}/{i:05}.png": compose(pool, np.random.default_rng([seed, development, part, i]))
            for part, (split, pool, number) in enumerate(
                [("train", train_emoji, num_train), ("test", test_emoji, num_test)]
            )
            for i in range(number)
        }
        labels = _common_words(
            {path: scene.words for path, scene in scenes.items()},
            at_least={"train": num_train / 120, "test": num_test / 100},
        )
        drawings = _render_all(scenes, progress)
        _write_pictures(root, {path: partial(paint, scene, drawings) for path, scene in scenes.items()}, progress)
        _describe(root, labels, [_record(path, scene, labels, drawings) for path, scene in scenes.items()])

    return _built(root, recipe, build)


def build_pocket_emoji(root: Path, *, seed: int = 0, progress: Progress = silent) -> Path:
    """Write ``pocket-emoji``: one emoji a picture in three styles, 224 x 224 pixels with alpha.

    The labels are the words on at least 15 training and 6 test pictures. Otherwise as
    :func:`build_pocket_scenes`.
    """
    recipe = _recipe("pocket-emoji", seed)

    def build() -> None:
        pools = dict(zip(("train", "test"), _split_emoji(load_emoji(), seed), strict=True))
        pictures = {
            f"images/{split}/{emoji.code}-{style}.png": (emoji, style)
            for split, pool in pools.items()
            for emoji in pool
            for style in STYLES
        }
        words = {path: frozenset(emoji.words) for path, (emoji, _) in pictures.items()}
        labels = _common_words(words, at_least={"train": 15, "test": 6})
        _write_pictures(
            root,
            {path: partial(render, emoji.drawings[style], SCENE_PX) for path, (emoji, style) in pictures.items()},
            progress,
        )
        records = [
            {"path": path, "split": Path(path).parent.name, "labels": sorted(words[path] & labels)} for path in pictures
        ]
        _describe(root, labels, records)

    return _built(root, recipe, build)


BUILDERS: dict[str, Callable[..., Path]] = {
    "pocket-scenes": build_pocket_scenes,
    "pocket-emoji": build_pocket_emoji,
    "pocket-scenes-dev": partial(build_pocket_scenes, development=True),
}


def _recipe(name: str, seed: int, **sizes: int) -> Record:
    sources = {a.package: f"{a.version} sha256:{a.sha256}" for a in (*STYLES.values(), EMOJIBASE, OPENMOJI)}
    return {"name": name, "seed": seed, **sizes, "sources": sources}


def _built(root: Path, recipe: Record, build: Callable[[], None]) -> Path:
    """``root`` with this very data set in it: of several processes one builds it, and the others wait until it has.

    ``dataset.json`` comes last and says that all else is there.

    Raises:
        ZerotagError: it holds a data set of another recipe, or files that are none.
    """
    if not (root / FINISHED).exists() or not _is_built(root, recipe):
        with alone(root):  # what is begun is looked at here alone, where nobody else is at it
            if not _is_built(root, recipe):
                write_atomically(root / BEGUN, json.dumps(recipe, indent=1))
                build()
                write_atomically(root / FINISHED, json.dumps(recipe, indent=1))
                (root / BEGUN).unlink()
    return root


def _is_built(root: Path, recipe: Record) -> bool:
    begun, finished = root / BEGUN, root / FINISHED
    stands = next((_read_recipe(file) for file in (finished, begun) if file.exists()), None)
    if stands is None and root.exists() and any(root.iterdir()):
        raise ZerotagError(f"{root} is not empty and holds no pocket data set; choose another folder with --out")
    if stands is not None and stands != recipe:
        raise ZerotagError(
            f"{root} already holds {stands['name']} of other settings (seed {stands['seed']}); "
            "choose another folder with --out, or delete this one"
        )
    return finished.exists()


def _read_recipe(file: Path) -> Record:
    try:
        found = json.loads(file.read_text())
        return {"name": found["name"], "seed": found["seed"], **found}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ZerotagError(f"{file} is damaged; delete the folder {file.parent}, and build it again") from error


def _split_emoji(emoji: list[Emoji], seed: int) -> tuple[list[Emoji], list[Emoji]]:
    """Emoji for training and for testing; those without a word are dropped."""
    tagged = [one for one in emoji if one.words]
    order = np.random.default_rng([seed, EMOJI_STREAM]).permutation(len(tagged))
    num_test = round(TEST_EMOJI_FRACTION * len(tagged))
    return [tagged[i] for i in order[num_test:]], [tagged[i] for i in order[:num_test]]


def _common_words(words: Mapping[str, frozenset[str]], at_least: Mapping[str, int | float]) -> frozenset[str]:
    counts = {split: Counter[str]() for split in at_least}
    for path, found in words.items():
        counts[Path(path).parent.name].update(found)
    vocabulary = frozenset().union(*words.values())
    return frozenset(
        w for w in vocabulary if all(counts[split][w] >= max(1, least) for split, least in at_least.items())
    )


def _render_all(scenes: Mapping[str, Scene], progress: Progress) -> dict[tuple[str, str], bytes]:
    """PNGs of all drawings in the scenes; 4,932 of them take some 40 MB."""
    wanted = {placed.drawing: placed.emoji for scene in scenes.values() for placed in scene.objects}
    with ThreadPoolExecutor(2) as pool:
        pngs = pool.map(lambda item: render_png(item[1].drawings[item[0][1]], DRAWING_PX), wanted.items())
        rendered = {}
        for done, (key, png) in enumerate(zip(wanted, pngs, strict=True), start=1):
            rendered[key] = png
            progress("Drawing emoji", done, len(wanted))
        return rendered


def _write_pictures(root: Path, pictures: Mapping[str, Callable[[], Image.Image]], progress: Progress) -> None:
    """Write the pictures that are not there yet."""

    def write(path: Path, make: Callable[[], Image.Image]) -> None:
        temporary = path.with_suffix(".partial")
        with full_disk_explained(path):
            make().save(temporary, "png", compress_level=1)
        temporary.replace(path)

    missing = {root / path: make for path, make in pictures.items() if not (root / path).exists()}
    for folder in {path.parent for path in missing}:
        folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(2) as pool:
        for done, _ in enumerate(pool.map(write, missing, missing.values()), start=len(pictures) - len(missing) + 1):
            progress("Painting pictures", done, len(pictures))


def _record(path: str, scene: Scene, labels: frozenset[str], drawings: Mapping[tuple[str, str], bytes]) -> Record:
    """A scene as a line of ``labels.jsonl``."""
    return {
        "path": path,
        "split": Path(path).parent.name,
        "labels": sorted(scene.words & labels),
        "width": SCENE_PX,
        "height": SCENE_PX,
        "objects": [
            {
                "name": placed.emoji.name,
                "style": placed.style,
                "box": box_px(placed, drawings[placed.drawing]),
                "labels": sorted(labels.intersection(placed.emoji.words)),
            }
            for placed in scene.objects
        ],
    }


def _describe(root: Path, labels: frozenset[str], records: list[Record]) -> None:
    """Write the description files."""
    write_atomically(root / "labels.txt", "".join(f"{label}\n" for label in sorted(labels)))
    write_atomically(root / "labels.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    attribution = resources.files("zerotag.datasets") / "ATTRIBUTION.md"
    write_atomically(root / "ATTRIBUTION.md", attribution.read_text())
