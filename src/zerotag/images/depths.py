"""Pictures of more than 8 bits brought to 8: scaled by the scale that they use, never clipped.

A file rarely says how many of its bits are in use: cameras and microscopes write 12 bits into 16, programs write values
of 0 to 255 into 32. So full scale is the greatest value that a TIFF declares (SMaxSampleValue), or else the smallest of
the usual full scales that contains all values: integers of 8, 10, 12, 14 and 16 bits, and of 15, 24, 31 and 32 where
they are kept in 32; floats up to 1, or as integers. With a sign, values reach as far below zero as above. A picture
that leaves three quarters of its scale unused comes brighter than viewers show it; one of 12 bits in 16 would otherwise
come black.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

from PIL import Image, ImageChops, ImageFile, ImageMath
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION, SAMPLEFORMAT, TiffImageFile

SHORT_BITS, LONG_BITS = (8, 10, 12, 14, 16), (8, 10, 12, 14, 15, 16, 24, 31, 32)
S_MAX_SAMPLE_VALUE, WHITE_IS_ZERO, UNSIGNED, SIGNED = 341, 0, 1, 2
OVERSHOOT = 0.05  # resampling and sharpening of floats write values a little outside of their scale
LOW_BYTE = {";16B": ";16L", ";16L": ";16B", ";16N": ";16B"}  # each takes one byte of two; native is little-endian


@dataclass(frozen=True)
class GrayScale:
    """The values that come out black and white.

    Attributes:
        black: Value that becomes 0.
        white: Value that becomes 255.
        is_wrapped: Whether the upper half of the values comes as negative numbers, or negative numbers as upper half.
    """

    black: int | float
    white: int | float
    is_wrapped: bool = False

    def to_eight_bits(self, gray: Image.Image) -> Image.Image:
        """Gray of 8 bits."""
        if self.is_wrapped and gray.mode == "L":
            return gray.point([(value + 128) % 256 for value in range(256)])
        if self.is_wrapped:
            return ImageMath.lambda_eval(lambda a: (a["gray"] >> 24) & 255, gray=gray).convert("L")
        factor = 255 / (self.white - self.black)
        half_up = 0.5 - self.black * factor  # what is behind the point is cut
        return _plain(gray).convert("F").point(lambda value: value * factor + half_up).convert("L")


def is_deep_gray(picture: Image.Image) -> bool:
    """Whether it is gray of more than 8 bits, or of 8 with a sign."""
    return picture.mode.startswith("I") or picture.mode == "F" or (picture.mode == "L" and _is(picture, SIGNED))


def gray_scale(picture: Image.Image) -> GrayScale:
    """The scale that a gray picture uses.

    Raises:
        ValueError: some value is infinite or no number.
    """
    lowest, highest = cast("tuple[float, float]", _plain(picture).getextrema())
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise ValueError("some of its values are no finite numbers")
    if picture.mode == "L":
        return GrayScale(0, 127, is_wrapped=highest > 127)
    if picture.mode == "I" and lowest < 0 and _is(picture, UNSIGNED):
        return GrayScale(0, 2**32 - 1, is_wrapped=True)
    scale = _float_scale(lowest, highest) if picture.mode == "F" else _integer_scale(picture, int(lowest), int(highest))
    if isinstance(picture, TiffImageFile):
        declared = picture.tag_v2.get(S_MAX_SAMPLE_VALUE)
        if isinstance(declared, tuple) and declared:
            declared = declared[0]
        if isinstance(declared, (int, float)) and lowest >= 0 and 0 < declared >= highest:
            scale = GrayScale(0, declared)
        if picture.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == WHITE_IS_ZERO:
            return GrayScale(scale.white, scale.black)
    return scale


def is_deep_colour(picture: Image.Image) -> bool:
    """Whether a picture, not yet decoded, has several bands of 16 bits; Pillow keeps the upper 8 of each."""
    return any(";16" in _rawmode(tile.args) for tile in _tiles(picture)) and not picture.mode.startswith("I")


def uses_lower_bits(picture: Image.Image) -> bool:
    """Whether all colours of a decoded picture are so low that they use fewer bits than they could."""
    return _bits_of(picture)[0] < 16


def read_lower_bits(picture: Image.Image) -> None:
    """Let a picture of 16 bits a band, not yet decoded, give the lower 8 of each."""
    tiles = _tiles(picture)
    for index, tile in enumerate(tiles):
        rawmode = _rawmode(tile.args)
        lower = rawmode[:-4] + LOW_BYTE.get(rawmode[-4:], rawmode[-4:])
        tiles[index] = tile._replace(args=(lower, *tile.args[1:]) if isinstance(tile.args, tuple) else lower)


def scaled_from_both(upper: Image.Image, lower: Image.Image) -> Image.Image:
    """Bands of 8 bits, out of the upper and the lower 8 of bands that use fewer than 16."""
    bands = []
    for high, low, bits in zip(upper.split(), lower.split(), _bits_of(upper), strict=True):
        shift = 16 - bits
        shifted = high.point([(value << shift) & 255 for value in range(256)])
        bands.append(ImageChops.add(shifted, low.point([value >> (8 - shift) for value in range(256)])))
    return Image.merge(upper.mode, bands)


def _bits_of(upper: Image.Image) -> list[int]:
    """The bits that each band uses, by its upper 8; all colours alike."""
    most = [cast("tuple[int, int]", band.getextrema())[1] for band in upper.split()]
    num_colours = len(most) - upper.mode.endswith("A")
    used = [next(bits for bits in SHORT_BITS if high < 2 ** (bits - 8)) for high in most]
    return [max(used[:num_colours])] * num_colours + used[num_colours:]


def _integer_scale(picture: Image.Image, lowest: int, highest: int) -> GrayScale:
    if lowest < 0:
        most = next(2**bits for bits in range(7, 32) if -(2**bits) <= lowest and highest < 2**bits)
        return GrayScale(-most, most - 1)
    return GrayScale(0, next(2**b - 1 for b in (LONG_BITS if picture.mode == "I" else SHORT_BITS) if highest < 2**b))


def _float_scale(lowest: float, highest: float) -> GrayScale:
    usual = (1.0, *(2.0**bits - 1 for bits in LONG_BITS))
    reach = max(highest, -lowest)
    white = max(highest, next((scale for scale in usual if reach <= scale * (1 + OVERSHOOT)), reach))
    return GrayScale(-white if lowest < -OVERSHOOT * white else min(lowest, 0.0), white)


def _plain(gray: Image.Image) -> Image.Image:
    """Pillow's other orders of bytes cannot be computed with."""
    return gray.convert("I") if gray.mode in ("I;16B", "I;16L", "I;16N") else gray


def _is(picture: Image.Image, sample_format: int) -> bool:
    """Whether the samples of a TIFF are with or without a sign."""
    return isinstance(picture, TiffImageFile) and sample_format in tuple(picture.tag_v2.get(SAMPLEFORMAT, (UNSIGNED,)))


def _tiles(picture: Image.Image) -> list[ImageFile._Tile]:
    return picture.tile if isinstance(picture, ImageFile.ImageFile) else []


def _rawmode(args: Any) -> str:
    return args if isinstance(args, str) else str(args[0]) if args else ""
