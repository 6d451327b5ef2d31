"""Scenes: a few emoji at random places and sizes on a plain ground, each with its box."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from zerotag.datasets.emoji import STYLES, Emoji

SCENE_PX = 224
DRAWING_PX = 128
OBJECT_SIZES_PX = (48, 112)
MAX_OBJECTS = 5
MAX_OVERLAP = 0.2
PLACING_TRIES = 20


@dataclass(frozen=True)
class Placed:
    """One emoji of a scene: which, in which style, its upper left corner and its side in pixels."""

    emoji: Emoji
    style: str
    x: int
    y: int
    size: int

    @property
    def drawing(self) -> tuple[str, str]:
        """Which drawing it is: the emoji's code and the style."""
        return self.emoji.code, self.style


@dataclass(frozen=True)
class Scene:
    """A ground colour and the emoji on it, the later ones in front."""

    ground: tuple[int, int, int]
    objects: tuple[Placed, ...]

    @property
    def words(self) -> frozenset[str]:
        """All words that people gave to one of its emoji."""
        return frozenset(word for placed in self.objects for word in placed.emoji.words)


def compose(pool: list[Emoji], rng: np.random.Generator) -> Scene:
    """1-5 emoji of ``pool`` at random; one that finds no free place in 20 tries is left out."""
    red, green, blue = (int(v) for v in rng.integers(0, 256, 3))
    placed: list[Placed] = []
    for index in rng.choice(len(pool), size=int(rng.integers(1, MAX_OBJECTS + 1)), replace=False):
        style = list(STYLES)[int(rng.integers(len(STYLES)))]
        for _ in range(PLACING_TRIES):
            size = int(rng.integers(OBJECT_SIZES_PX[0], OBJECT_SIZES_PX[1] + 1))
            x, y = (int(v) for v in rng.integers(0, SCENE_PX - size + 1, 2))
            one = Placed(pool[index], style, x, y, size)
            if all(_overlap(one, other) <= MAX_OVERLAP for other in placed):
                placed.append(one)
                break
    return Scene((red, green, blue), tuple(placed))


def paint(scene: Scene, drawings: Mapping[tuple[str, str], bytes]) -> Image.Image:
    """The scene in pixels, from PNGs of its drawings."""
    canvas = Image.new("RGB", (SCENE_PX, SCENE_PX), scene.ground)
    for placed in scene.objects:
        drawing = Image.open(io.BytesIO(drawings[placed.drawing])).convert("RGBA")
        drawing = drawing.resize((placed.size, placed.size), Image.Resampling.LANCZOS)
        canvas.paste(drawing, (placed.x, placed.y), drawing)
    return canvas


def box_px(placed: Placed, drawing: bytes) -> list[float]:
    """Left, top, right and bottom of what is painted of an emoji: its square cut down to the opaque part."""
    opaque = Image.open(io.BytesIO(drawing)).getchannel("A").getbbox() or (0, 0, DRAWING_PX, DRAWING_PX)
    scale = placed.size / DRAWING_PX
    corner = (placed.x, placed.y)
    return [round(corner[i % 2] + side * scale, 1) for i, side in enumerate(opaque)]


def _overlap(a: Placed, b: Placed) -> float:
    """Shared area over the area of the smaller square."""
    width = min(a.x + a.size, b.x + b.size) - max(a.x, b.x)
    height = min(a.y + a.size, b.y + b.size) - max(a.y, b.y)
    return max(0, width) * max(0, height) / min(a.size, b.size) ** 2
