"""Heat maps: where in a picture a label's score comes from, as an overlay, and whether the peak lies on the object."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageOps

Box = Sequence[float]


def peak_px(heat: Float[np.ndarray, "h w"], width_px: int, height_px: int) -> tuple[float, float]:
    """Centre, in pixels of the picture, of the position with the highest value (x, y)."""
    row, column = divmod(int(heat.argmax()), heat.shape[1])
    return (column + 0.5) * width_px / heat.shape[1], (row + 0.5) * height_px / heat.shape[0]


def is_hit(heat: Float[np.ndarray, "h w"], boxes: Sequence[Box], width_px: int, height_px: int) -> bool:
    """The pointing game: whether the map's peak lies in one of the boxes (left, top, right, bottom)."""
    x, y = peak_px(heat, width_px, height_px)
    return any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in boxes)


def share_of_picture(boxes: Sequence[Box], width_px: int, height_px: int) -> float:
    """Share of the picture's area that the boxes cover: how often a peak at a random place would hit."""
    covered = np.zeros((height_px, width_px), bool)
    for left, top, right, bottom in boxes:
        covered[round(top) : round(bottom), round(left) : round(right)] = True
    return float(covered.mean())


def overlay(picture: Image.Image, heat: Float[np.ndarray, "h w"], strength: float = 0.65) -> Image.Image:
    """The picture in grey with the map over it in colour, from clear (lowest) to red (highest)."""
    span = np.ptp(heat)
    level = (heat - heat.min()) / (span if span > 0 else 1)
    mask = Image.fromarray(np.uint8(255 * level)).resize(picture.size, Image.Resampling.BICUBIC)
    colour = ImageOps.colorize(mask, black="#2a3f9d", mid="#f2c14e", white="#d7263d")
    ground = ImageOps.grayscale(picture).convert("RGB")
    return Image.composite(colour, ground, mask.point(lambda value: int(strength * value)))
