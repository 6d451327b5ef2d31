"""How a picture is turned: one number of its EXIF, and nothing else of it."""

from __future__ import annotations

from typing import Any

from PIL import Image
from PIL.TiffImagePlugin import IMAGELENGTH, IMAGEWIDTH, TiffImageFile

ORIENTATION = 0x0112
UPRIGHT, LYING = 1, (5, 6, 7, 8)
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def orientation_of(picture: Image.Image) -> int:
    """EXIF's orientation, from 1 to 8; 1 where there is none, or none that can be read.

    Decoders of HEIF and AVIF turn pictures themselves, or put what is left to do in place of what EXIF says.
    """
    try:
        orientation = _number(picture.getexif().get(ORIENTATION, UPRIGHT))
    except Exception:  # EXIF is written by anybody, in any state, and Pillow raises errors of many kinds on it
        return UPRIGHT
    return orientation if orientation in TURNS else UPRIGHT


def leave_orientation_alone(picture: Image.Image) -> None:
    """Take all of EXIF but the orientation out of a TIFF: Pillow reads it while it decodes, and turns a TIFF itself."""
    if isinstance(picture, TiffImageFile):
        orientation, exif = orientation_of(picture), picture.getexif()
        for tag in list(exif):
            del exif[tag]
        exif[ORIENTATION] = orientation


def left_to_turn(picture: Image.Image) -> int:
    """The orientation of a decoded picture; Pillow has turned a TIFF already."""
    return UPRIGHT if isinstance(picture, TiffImageFile) else orientation_of(picture)


def shown_size(picture: Image.Image) -> tuple[int, int]:
    """Width and height once it is turned; Pillow tells those of a TIFF turned at times, and at times not."""
    width, height = picture.size
    if isinstance(picture, TiffImageFile):
        width, height = picture.tag_v2[IMAGEWIDTH], picture.tag_v2[IMAGELENGTH]
    return (height, width) if orientation_of(picture) in LYING else (width, height)


def turned(picture: Image.Image, orientation: int) -> Image.Image:
    """The picture set upright."""
    return picture.transpose(TURNS[orientation]) if orientation in TURNS else picture


def _number(value: Any) -> int:
    if isinstance(value, (tuple, list, bytes)):
        value = value[0]
    return int(value.strip("\0 ")) if isinstance(value, str) else int(value)
