"""A decoded picture made flat: 8 bits deep and opaque, some rows at a time, reduced on the way."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image

from zerotag.images.colours import flat_mode, ground_of, on_ground
from zerotag.images.depths import gray_scale, is_deep_gray

STRIP_PIXELS = 4_000_000


def flattened(picture: Image.Image, factor: int) -> Image.Image:
    """The picture in ``RGB``, ``L``, ``CMYK`` or ``LAB``, reduced by a whole number.

    A large picture is never in memory in two modes at once: strips of it are converted and reduced.

    Raises:
        ValueError: some value of a picture of floats is infinite or no number.
    """
    flat = _flattening(picture)
    width, height = picture.size
    rows = max(1, STRIP_PIXELS // (width * factor)) * factor
    if rows >= height:
        return _reduced(flat(picture), factor)
    whole = Image.new(flat_mode(picture.mode), (-(-width // factor), -(-height // factor)))
    for top in range(0, height, rows):
        strip = picture.crop((0, top, width, min(top + rows, height)))
        whole.paste(_reduced(flat(strip), factor), (0, top // factor))
    return whole


def _flattening(picture: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """What is done with each strip; it depends on the whole."""
    mode = flat_mode(picture.mode)
    if is_deep_gray(picture):
        return gray_scale(picture).to_eight_bits
    if picture.has_transparency_data:
        ground = ground_of(picture)
        return lambda strip: on_ground(strip, ground).convert(mode)
    return lambda strip: strip.copy() if strip.mode == mode else strip.convert(mode)


def _reduced(picture: Image.Image, factor: int) -> Image.Image:
    return picture.reduce(factor) if factor > 1 else picture
