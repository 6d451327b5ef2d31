"""The only place that decodes a picture file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from errno import EINVAL
from functools import cache
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from zerotag.errors import ZerotagError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".heif"})
MAX_PIXELS = 200_000_000
ORIENTATION, LYING = 0x0112, (5, 6, 7, 8)

# the limit above is checked before a pixel is decoded; Pillow's own would warn on each photo of 90 megapixels
Image.MAX_IMAGE_PIXELS = None


class BadPictureError(ZerotagError):
    """A file that cannot be decoded as a picture.

    Attributes:
        reason: Why, without the path.
        is_lasting: Whether its content is at fault; False where the file could not be reached, which may pass.
    """

    def __init__(self, source: Path | BytesIO, reason: str, is_lasting: bool = True) -> None:
        name = f"the picture {source}" if isinstance(source, Path) else "the picture"
        super().__init__(f"{name} cannot be read: {reason}")
        self.source, self.reason, self.is_lasting = source, reason, is_lasting

    def __reduce__(self) -> tuple[type[BadPictureError], tuple[Path | BytesIO, str, bool]]:
        return BadPictureError, (self.source, self.reason, self.is_lasting)  # whole out of a worker process


def is_access(error: OSError) -> bool:
    """Whether the system refused the file, rather than a decoder its content."""
    return bool(error.errno) and error.errno != EINVAL  # a damaged offset makes decoders seek where nothing is


def open_picture(source: Path | BytesIO, *, side_px: int | None = None) -> Image.Image:
    """The picture in RGB, upright, transparent parts on white; of an animation the first frame.

    The format is told by the content, not by the name.

    Args:
        source: a file, or its content.
        side_px: to what side it will be brought. A JPEG may then come reduced by 2, 4 or 8, to one and a half times
            that side or more, which is several times as fast.

    Raises:
        BadPictureError: no such file, no picture of a known format, more than 200 megapixels, or damaged.
    """
    with _opened(source) as picture:
        if side_px is not None:
            picture.draft(None, (3 * side_px // 2, 3 * side_px // 2))
        return _on_white(ImageOps.exif_transpose(picture))


def upright_size(source: Path | BytesIO) -> tuple[int, int]:
    """Width and height of a picture as it is shown; only the head of the file is read.

    Raises:
        BadPictureError: as of :func:`open_picture`.
    """
    with _opened(source) as picture:
        lies = picture.getexif().get(ORIENTATION) in LYING
        return (picture.height, picture.width) if lies else picture.size


@contextmanager
def _opened(source: Path | BytesIO) -> Iterator[Image.Image]:
    try:
        with Image.open(source, formats=_formats()) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise BadPictureError(source, f"{picture.width} x {picture.height} is over {MAX_PIXELS:,} pixels")
            yield picture
    except BadPictureError:
        raise
    except UnidentifiedImageError:
        raise BadPictureError(source, f"its content is none of {', '.join(_formats())}") from None
    except OSError as error:
        if is_access(error):
            raise BadPictureError(source, error.strerror, is_lasting=False) from error
        raise BadPictureError(source, f"damaged ({error})") from error
    except MemoryError:
        raise BadPictureError(source, "it needs too much memory to be decoded") from None
    except Exception as error:  # decoders raise errors of many kinds on damaged files
        raise BadPictureError(source, f"damaged ({error})") from error


@cache
def _formats() -> tuple[str, ...]:
    """HEIF comes with the extra ``heif``."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return FORMATS
    register_heif_opener()
    return (*FORMATS, "HEIF")


def squared(picture: Image.Image, side_px: int, resampling: Image.Resampling) -> Image.Image:
    """The whole picture brought to a square: nothing is cropped, since a label may sit at the border."""
    return picture if picture.size == (side_px, side_px) else picture.resize((side_px, side_px), resampling)


def _on_white(picture: Image.Image) -> Image.Image:
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    ground = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(ground, picture).convert("RGB")
