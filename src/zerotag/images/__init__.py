"""The only place that decodes a picture file."""

from __future__ import annotations

import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from errno import EINVAL, ENOMEM
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from zerotag.errors import ZerotagError
from zerotag.images.colours import in_srgb, is_of_another_space
from zerotag.images.depths import is_deep_colour, read_lower_bits, scaled_from_both, uses_lower_bits
from zerotag.images.orientation import LYING, leave_orientation_alone, left_to_turn, shown_size, turned
from zerotag.images.strips import flattened

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".pjpeg", ".pjp", ".mpo", ".png", ".apng", ".webp", ".gif"}
    | {".bmp", ".dib", ".tif", ".tiff", ".avif", ".avifs", ".heic", ".heics", ".heif", ".heifs", ".hif"}
)
MAX_PIXELS = 200_000_000
# a picture of more pixels is reduced while it is converted, where it will be brought to a smaller side anyway
WHOLE_PIXELS = 36_000_000
REDUCED_SIDES = 3  # to so many times the side that is asked for, which resampling cannot tell from the whole
# what decoding takes at most, by benchmarks/large_pictures.py and with something to spare; any other format takes 12
BYTES_A_PIXEL = {"PNG": 8, "BMP": 8, "GIF": 8, "WEBP": 20, "AVIF": 20, "HEIF": 20}
USUAL_BYTES_A_PIXEL, MOST_BYTES_A_PIXEL, PROGRESSIVE_BYTES_A_PIXEL = 12, 20, 8

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
        return type(self), (self.source, self.reason, self.is_lasting)  # whole out of a worker process


class NeedsMemoryError(BadPictureError):
    """A picture that could need more memory than it may have; where there is more, it may be decoded."""


def is_access(error: OSError) -> bool:
    """Whether the system refused the file, rather than a decoder its content."""
    # a damaged offset makes decoders seek where nothing is
    return bool(error.errno) and error.errno not in (EINVAL, ENOMEM)


def open_picture(source: Path | BytesIO, *, side_px: int | None = None) -> Image.Image:
    """The picture in RGB of 8 bits and in the colour space sRGB, upright; of an animation the first frame.

    The format is told by the content, not by the name. Transparent parts are white, or a middle gray where what is
    drawn would hardly be seen on white. Greater depths are scaled by what :mod:`zerotag.images.depths` says.

    Args:
        source: a file, or its content.
        side_px: to what side it will be brought. A JPEG may then come reduced by 2, 4 or 8, to one and a half times
            that side or more, which is several times as fast. So may any picture of more than 36 megapixels, and one
            that is not in sRGB, by a whole number, to three times that side or more, which takes less memory.

    Raises:
        BadPictureError: no such file, no picture of a known format, more than 200 megapixels, or damaged.
    """
    return open_sized(source, side_px=side_px)[0]


def open_sized(
    source: Path | BytesIO, *, side_px: int | None = None, most_bytes: int | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """The picture as :func:`open_picture` gives it, and its width and height as it is shown.

    Args:
        source: a file, or its content.
        side_px: to what side it will be brought.
        most_bytes: Number of bytes of memory that decoding may take.

    Raises:
        NeedsMemoryError: it could need more memory than that.
        BadPictureError: as of :func:`open_picture`.
    """
    with _opened(source, most_bytes) as picture:
        width, height = picture.size
        if side_px is not None:
            picture.draft(None, (3 * side_px // 2, 3 * side_px // 2))
        if most_bytes is not None and (needed := _needed_bytes(picture, width * height)) > most_bytes:
            raise NeedsMemoryError(
                source,
                f"{width} x {height} pixels need up to {needed / 2**20:,.0f} MB of memory to be decoded, "
                f"more than the {most_bytes / 2**20:,.0f} MB that one picture may take",
            )
        flat = _decoded(picture, source, side_px)
        orientation = left_to_turn(picture)
        if isinstance(picture, TiffImageFile):
            width, height = picture.size
    return turned(flat, orientation), (height, width) if orientation in LYING else (width, height)


def upright_size(source: Path | BytesIO) -> tuple[int, int]:
    """Width and height of a picture as it is shown; only the head of the file is read.

    Raises:
        BadPictureError: as of :func:`open_picture`.
    """
    with _opened(source) as picture:
        return shown_size(picture)


@contextmanager
def _opened(source: Path | BytesIO, most_bytes: int | None = None) -> Iterator[Image.Image]:
    num_pixels = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decoders warn of what they pass over, such as a damaged EXIF
            with _undecoded(source) as picture:
                num_pixels = picture.width * picture.height
                if num_pixels > MAX_PIXELS:
                    raise BadPictureError(source, f"{picture.width} x {picture.height} is over {MAX_PIXELS:,} pixels")
                yield picture
    except BadPictureError:
        raise
    except UnidentifiedImageError:
        raise BadPictureError(source, _why_unidentified(source)) from None
    except MemoryError:
        raise NeedsMemoryError(source, "it needs too much memory to be decoded") from None
    except Exception as error:  # decoders raise errors of many kinds on damaged files
        if isinstance(error, OSError) and is_access(error):
            raise BadPictureError(source, error.strerror or str(error), is_lasting=False) from error
        if most_bytes is None:
            raise BadPictureError(source, f"damaged ({error})") from error
        # decoders tell a lack of memory in many ways, and not always apart from damage
        if num_pixels is None:
            raise NeedsMemoryError(source, f"damaged ({error})") from error
        if num_pixels * MOST_BYTES_A_PIXEL > most_bytes:
            limit = f"{most_bytes / 2**20:,.0f} MB"
            raise NeedsMemoryError(source, f"damaged, or it needs more memory than {limit} ({error})") from error
        raise BadPictureError(source, f"damaged ({error})") from error


def _undecoded(source: Path | BytesIO) -> Image.Image:
    """The picture with its head read; an AVIF whose EXIF Pillow cannot write again, without its EXIF.

    How an AVIF is turned stands outside of EXIF; Pillow writes it into EXIF while it opens the file.
    """
    if isinstance(source, Path) and not stat.S_ISREG(source.stat().st_mode):
        raise BadPictureError(source, "no regular file")  # a pipe would be waited for
    try:
        return Image.open(source, formats=_formats())
    except (MemoryError, FileNotFoundError, PermissionError):
        raise
    except Exception:
        with _content_of(source) as file:
            start = file.read(12)
            content = file.read() if start[4:] in (b"ftypavif", b"ftypavis") else b""
        if b"Exif" not in content:
            raise
        return Image.open(BytesIO(start + content.replace(b"Exif", b"none")), formats=_formats())


@contextmanager
def _content_of(source: Path | BytesIO) -> Iterator[IO[bytes]]:
    with source.open("rb") if isinstance(source, Path) else nullcontext(source) as content:
        content.seek(0)
        yield content


def _why_unidentified(source: Path | BytesIO) -> str:
    """What the decoder says whose format begins as the file does."""
    with _content_of(source) as content, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = content.read(16)
        for name in _formats():
            decoder, begins = Image.OPEN[name]
            if begins is not None and begins(start) is True:
                content.seek(0)
                try:
                    decoder(content, "")
                except Exception as error:
                    why = str(error) or type(error).__name__
                    return f"a {name} of a kind that cannot be decoded, or damaged ({why})"
    return f"its content is none of {', '.join(_formats())}"


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


def _needed_bytes(picture: Image.Image, num_pixels: int) -> int:
    """What decoding may take; a JPEG that comes reduced takes little, unless all of it is kept until its last scan."""
    a_pixel = BYTES_A_PIXEL.get(picture.format or "", USUAL_BYTES_A_PIXEL)
    whole = PROGRESSIVE_BYTES_A_PIXEL * num_pixels if picture.info.get("progressive") else 0
    return picture.width * picture.height * a_pixel + whole


def _decoded(picture: Image.Image, source: Path | BytesIO, side_px: int | None) -> Image.Image:
    """In sRGB, as it lies in the file; it is reduced before it is converted."""
    is_deep = is_deep_colour(picture)
    leave_orientation_alone(picture)
    is_large = picture.width * picture.height > WHOLE_PIXELS
    picture.load()
    if picture.mode == "La":  # Pillow converts it to no other
        picture = picture.convert("LA")
    if is_deep and uses_lower_bits(picture):
        picture = _from_lower_bits(picture, source)
    if picture.format == "BMP" and picture.mode == "RGBA" and not picture.getchannel("A").getbbox():
        picture = picture.convert("RGB")  # programs that know of no transparency leave it at zero
    factor = 1
    if side_px is not None and (is_large or is_of_another_space(picture)):
        factor = max(1, min(picture.size) // (REDUCED_SIDES * side_px))
    try:
        return in_srgb(flattened(picture, factor), picture.info.get("icc_profile"))
    except ValueError as error:
        raise BadPictureError(source, str(error)) from None


def _from_lower_bits(picture: Image.Image, source: Path | BytesIO) -> Image.Image:
    with _opened(source) as again:
        leave_orientation_alone(again)
        read_lower_bits(again)
        again.load()
        scaled = scaled_from_both(picture, again)
    scaled.info = picture.info
    return scaled
