"""The only place that decodes a picture file."""

from __future__ import annotations

import os
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from zerotag.errors import ZerotagError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})
MAX_PIXELS = 200_000_000

# the limit above is checked before a pixel is decoded; Pillow's own would warn on each photo of 90 megapixels
Image.MAX_IMAGE_PIXELS = None


class BadPictureError(ZerotagError):
    """A file that cannot be decoded as a picture; ``reason`` says why, without the path."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"the picture {path} cannot be read: {reason}")
        self.path, self.reason = path, reason


def open_picture(path: Path) -> Image.Image:
    """The picture in RGB, upright, transparent parts on white; of an animation the first frame.

    The format is told by the content, not by the name.

    Raises:
        BadPictureError: no such file, no picture of a known format, more than 200 megapixels, or damaged.
    """
    try:
        with Image.open(path, formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise BadPictureError(path, f"{picture.width} x {picture.height} is over {MAX_PIXELS:,} pixels")
            return _on_white(ImageOps.exif_transpose(picture))
    except BadPictureError:
        raise
    except UnidentifiedImageError:
        raise BadPictureError(path, f"its content is none of {', '.join(FORMATS)}") from None
    except OSError as error:
        raise BadPictureError(path, error.strerror or f"damaged ({error})") from error
    except Exception as error:  # decoders raise errors of many kinds on damaged files
        raise BadPictureError(path, f"damaged ({error})") from error


def find_pictures(folder: Path) -> list[Path]:
    """Files below ``folder`` that are named as pictures, sorted; hidden ones and linked folders are passed over.

    Raises:
        ZerotagError: there is no such folder, or no such file in it.
    """
    if not folder.is_dir():
        raise ZerotagError(f"there is no folder {folder}")
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(place) / name for name in files if not name.startswith("."))
        found += [path for path in paths if path.suffix.lower() in SUFFIXES and path.is_file()]
    if not found:
        raise ZerotagError(f"{folder} holds no pictures (files ending in {', '.join(sorted(SUFFIXES))})")
    return sorted(found)


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    ground = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(ground, picture).convert("RGB")
