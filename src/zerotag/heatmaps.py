"""Heat maps: where in a picture a label's score comes from, and does it lie on the object."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image, ImageOps


def cells_in_boxes(boxes: Float[np.ndarray, "k 4"], height: int, width: int) -> Bool[np.ndarray, "k h w"]:
    """Whether the centre of each cell of a map lies in each box.

    Args:
        boxes: left, top, right and bottom as shares of the picture's width and height.
        height: of the map, in cells.
        width: of the map, in cells.
    """
    y, x = ((np.arange(cells) + 0.5) / cells for cells in (height, width))
    left, top, right, bottom = boxes.T[..., None]
    inside_x, inside_y = (left <= x) & (x <= right), (top <= y) & (y <= bottom)
    return inside_y[:, :, None] & inside_x[:, None, :]


def overlay(picture: Image.Image, heat: Float[np.ndarray, "h w"], strength: float = 0.65) -> Image.Image:
    """The picture in grey with the map over it in colour, from clear (lowest) to red (highest)."""
    span = np.ptp(heat)
    level = (heat - heat.min()) / (span if span > 0 else 1)
    mask = Image.fromarray(np.uint8(255 * level)).resize(picture.size, Image.Resampling.BICUBIC)
    colour = ImageOps.colorize(mask, black="#2a3f9d", mid="#f2c14e", white="#d7263d")
    ground = ImageOps.grayscale(picture).convert("RGB")
    return Image.composite(colour, ground, mask.point(lambda value: int(strength * value)))
