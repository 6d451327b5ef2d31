"""The pocket data sets: real pictures with human tags that the npm registry delivers in a minute.

Both are split by emoji, so no drawing of a test emoji is seen in training, and both are written in the layout
that :mod:`zerotag.datasets.folder` reads.
"""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from zerotag.datasets.emoji import EMOJIBASE, OPENMOJI, STYLES, Emoji, load_emoji, render, render_png
from zerotag.errors import ZerotagError
from zerotag.storage import full_disk_explained, write_atomically

SCENE_PX = 224
DRAWING_PX = 128
OBJECT_SIZES_PX = (48, 112)
MAX_OBJECTS = 5
MAX_OVERLAP = 0.2
PLACING_TRIES = 20
TEST_EMOJI_FRACTION = 0.25

Progress = Callable[[str, int, int], None]
Record = dict[str, Any]
T = TypeVar("T")


def _silent(what: str, done: int, total: int) -> None:
    """Report progress to nobody."""


@dataclass(frozen=True)
class Placed:
    """One emoji of a scene: which, in which style, its upper left corner and its side in pixels."""

    emoji: Emoji
    style: str
    x: int
    y: int
    size: int


def build_pocket_scenes(
    root: Path, *, seed: int = 0, num_train: int = 6000, num_test: int = 2000, progress: Progress = _silent
) -> Path:
    """Write ``pocket-scenes``: 1-5 emoji at random places and sizes on a plain ground, 224 x 224 pixels.

    The labels are the words on at least 1/120 of the training and 1/100 of the test scenes (50 and 20 at full
    size); every object keeps its box. The same seed gives the same bytes. An interrupted build goes on where
    it was; a finished one is left as it is.

    Raises:
        ZerotagError: ``root`` holds something else, the archives cannot be fetched, or the disk is full.
    """
    recipe = _recipe("pocket-scenes", seed, train=num_train, test=num_test)
    if _is_built(root, recipe):
        return root
    train_emoji, test_emoji = _split_emoji(load_emoji(), seed)
    numbers = {"train": num_train, "test": num_test}
    scenes = {
        f"images/{split}/{i:05}.png": _place(pool, np.random.default_rng([seed, part, i]))
        for part, (split, pool) in enumerate([("train", train_emoji), ("test", test_emoji)])
        for i in range(numbers[split])
    }
    words = {path: {word for object_ in scene for word in object_.emoji.words} for path, scene in scenes.items()}
    labels = _common_words(words, at_least={"train": num_train / 120, "test": num_test / 100})

    drawings = _render_all({(o.emoji.code, o.style): o.emoji for scene in scenes.values() for o in scene}, progress)
    boxes = {key: Image.open(io.BytesIO(png)).getchannel("A").getbbox() for key, png in drawings.items()}

    def paint(item: tuple[str, list[Placed]]) -> None:
        path, scene = item
        ground = tuple(np.random.default_rng([seed, len(path), int(Path(path).stem)]).integers(0, 256, 3).tolist())
        canvas = Image.new("RGB", (SCENE_PX, SCENE_PX), ground)
        for placed in scene:
            drawing = Image.open(io.BytesIO(drawings[placed.emoji.code, placed.style])).convert("RGBA")
            drawing = drawing.resize((placed.size, placed.size), Image.Resampling.LANCZOS)
            canvas.paste(drawing, (placed.x, placed.y), drawing)
        _save_png(canvas, root / path)

    _write_pictures(root, scenes.items(), paint, progress)
    records = [
        {
            "path": path,
            "split": Path(path).parent.name,
            "labels": sorted(words[path] & labels),
            "objects": [
                {
                    "name": o.emoji.name,
                    "style": o.style,
                    "box": _scaled(boxes[o.emoji.code, o.style], o),
                    "labels": sorted(labels.intersection(o.emoji.words)),
                }
                for o in scene
            ],
        }
        for path, scene in scenes.items()
    ]
    return _finish(root, recipe, labels, records)


def build_pocket_emoji(root: Path, *, seed: int = 0, progress: Progress = _silent) -> Path:
    """Write ``pocket-emoji``: one emoji a picture in three styles, 224 x 224 pixels with alpha.

    The labels are the words on at least 15 training and 6 test pictures. Otherwise as
    :func:`build_pocket_scenes`.
    """
    recipe = _recipe("pocket-emoji", seed)
    if _is_built(root, recipe):
        return root
    pools = dict(zip(("train", "test"), _split_emoji(load_emoji(), seed), strict=True))
    pictures = {
        f"images/{split}/{emoji.code}-{style}.png": (emoji, style)
        for split, pool in pools.items()
        for emoji in pool
        for style in STYLES
    }
    words = {path: set(emoji.words) for path, (emoji, _) in pictures.items()}
    labels = _common_words(words, at_least={"train": 15, "test": 6})

    def paint(item: tuple[str, tuple[Emoji, str]]) -> None:
        path, (emoji, style) = item
        _save_png(render(emoji.drawings[style], SCENE_PX), root / path)

    _write_pictures(root, pictures.items(), paint, progress)
    records = [
        {"path": path, "split": Path(path).parent.name, "labels": sorted(words[path] & labels)} for path in pictures
    ]
    return _finish(root, recipe, labels, records)


BUILDERS: dict[str, Callable[..., Path]] = {
    "pocket-scenes": build_pocket_scenes,
    "pocket-emoji": build_pocket_emoji,
}


def _recipe(name: str, seed: int, **sizes: int) -> Record:
    sources = {a.package: f"{a.version} sha256:{a.sha256}" for a in (*STYLES.values(), EMOJIBASE, OPENMOJI)}
    return {"name": name, "seed": seed, **sizes, "sources": sources}


def _is_built(root: Path, recipe: Record) -> bool:
    """Whether ``root`` holds this very data set already.

    Raises:
        ZerotagError: it holds a data set of another recipe, or files that are none.
    """
    begun, finished = root / "building.json", root / "dataset.json"
    stands = next((json.loads(file.read_text()) for file in (finished, begun) if file.exists()), None)
    if stands is not None and stands != recipe:
        raise ZerotagError(
            f"{root} already holds {stands['name']} of other settings (seed {stands['seed']}); "
            "choose another folder with --out, or delete this one"
        )
    if stands is None:
        if root.exists() and any(root.iterdir()):
            raise ZerotagError(f"{root} is not empty and holds no pocket data set; choose another folder with --out")
        write_atomically(begun, json.dumps(recipe, indent=1))
    return finished.exists()


def _split_emoji(emoji: list[Emoji], seed: int) -> tuple[list[Emoji], list[Emoji]]:
    """Emoji for training and for testing; those without a word are dropped."""
    tagged = [one for one in emoji if one.words]
    order = np.random.default_rng([seed, 99]).permutation(len(tagged))
    num_test = round(TEST_EMOJI_FRACTION * len(tagged))
    return [tagged[i] for i in order[num_test:]], [tagged[i] for i in order[:num_test]]


def _place(pool: list[Emoji], rng: np.random.Generator) -> list[Placed]:
    """1-5 emoji at random; one that finds no free place in 20 tries is left out."""
    scene: list[Placed] = []
    for index in rng.choice(len(pool), size=int(rng.integers(1, MAX_OBJECTS + 1)), replace=False):
        style = list(STYLES)[int(rng.integers(len(STYLES)))]
        for _ in range(PLACING_TRIES):
            size = int(rng.integers(OBJECT_SIZES_PX[0], OBJECT_SIZES_PX[1] + 1))
            x, y = (int(v) for v in rng.integers(0, SCENE_PX - size + 1, 2))
            placed = Placed(pool[index], style, x, y, size)
            if all(_overlap(placed, other) <= MAX_OVERLAP for other in scene):
                scene.append(placed)
                break
    return scene


def _overlap(a: Placed, b: Placed) -> float:
    """Shared area over the area of the smaller square."""
    width = min(a.x + a.size, b.x + b.size) - max(a.x, b.x)
    height = min(a.y + a.size, b.y + b.size) - max(a.y, b.y)
    return max(0, width) * max(0, height) / min(a.size, b.size) ** 2


def _common_words(words: dict[str, set[str]], at_least: dict[str, float]) -> set[str]:
    counts = {split: Counter[str]() for split in at_least}
    for path, found in words.items():
        counts[Path(path).parent.name].update(found)
    vocabulary = set().union(*words.values())
    return {w for w in vocabulary if all(counts[split][w] >= max(1, least) for split, least in at_least.items())}


def _render_all(wanted: dict[tuple[str, str], Emoji], progress: Progress) -> dict[tuple[str, str], bytes]:
    """PNGs of all wanted (code, style); 4,932 of them take some 40 MB."""
    with ThreadPoolExecutor(2) as pool:
        pngs = pool.map(lambda item: render_png(item[1].drawings[item[0][1]], DRAWING_PX), wanted.items())
        rendered = {}
        for done, (key, png) in enumerate(zip(wanted, pngs, strict=True), start=1):
            rendered[key] = png
            progress("Drawing emoji", done, len(wanted))
        return rendered


def _scaled(box: tuple[int, int, int, int] | None, placed: Placed) -> list[float]:
    left, top, right, bottom = box or (0, 0, DRAWING_PX, DRAWING_PX)
    scale = placed.size / DRAWING_PX
    corners = (
        placed.x + left * scale,
        placed.y + top * scale,
        placed.x + right * scale,
        placed.y + bottom * scale,
    )
    return [round(value, 1) for value in corners]


def _save_png(picture: Image.Image, path: Path) -> None:
    temporary = path.with_suffix(".partial")
    with full_disk_explained(path):
        picture.save(temporary, "png", compress_level=1)
    temporary.replace(path)


def _write_pictures(
    root: Path, items: Iterable[tuple[str, T]], paint: Callable[[tuple[str, T]], None], progress: Progress
) -> None:
    everything = list(items)
    missing = [item for item in everything if not (root / item[0]).exists()]
    for folder in {(root / path).parent for path, _ in everything}:
        folder.mkdir(parents=True, exist_ok=True)
    finished = len(everything) - len(missing)
    with ThreadPoolExecutor(2) as pool:
        for done, _ in enumerate(pool.map(paint, missing), start=finished + 1):
            progress("Painting pictures", done, len(everything))


def _finish(root: Path, recipe: Record, labels: set[str], records: list[Record]) -> Path:
    """Write the description files; ``dataset.json`` comes last and says that all else is there."""
    write_atomically(root / "labels.txt", "".join(f"{label}\n" for label in sorted(labels)))
    write_atomically(root / "labels.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    attribution = resources.files("zerotag.datasets") / "ATTRIBUTION.md"
    write_atomically(root / "ATTRIBUTION.md", attribution.read_text())
    write_atomically(root / "dataset.json", json.dumps(recipe, indent=1))
    (root / "building.json").unlink()
    return root
