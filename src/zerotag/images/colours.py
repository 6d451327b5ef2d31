"""Colours as a backbone knows them: of the colour space sRGB, and nothing transparent."""

from __future__ import annotations

from functools import lru_cache
from io import BytesIO
from itertools import product
from typing import cast

from PIL import Image, ImageChops, ImageCms

# profiles whose colours differ by less are called sRGB: it is written in many ways, each rounded differently
ALIKE = 3
SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab"}
WHITE, GRAY = 255, 128
SAMPLE_PX, OPAQUE, VISIBLE, HARDLY, PAGE = 512, 32, 16, 0.02, 0.9


def flat_mode(mode: str) -> str:
    """The mode of 8 bits, with nothing transparent, that keeps the colours of a picture."""
    if mode in ("CMYK", "LAB"):
        return mode
    return "L" if mode in ("1", "L", "LA", "La", "F") or mode.startswith("I") else "RGB"


def is_of_another_space(picture: Image.Image) -> bool:
    """Whether the profile in a picture fits its mode and is not sRGB."""
    return _to_srgb(picture.info.get("icc_profile"), flat_mode(picture.mode)) is not None


def in_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """The picture in RGB. A profile that is broken, or for pictures of another mode, is ignored."""
    if transform := _to_srgb(profile, picture.mode):
        return cast("Image.Image", ImageCms.applyTransform(picture, transform))
    return picture if picture.mode == "RGB" else picture.convert("RGB")


@lru_cache(maxsize=32)
def _to_srgb(profile: bytes | None, mode: str) -> ImageCms.ImageCmsTransform | None:
    """None where there is nothing to be converted."""
    try:
        if mode == "LAB":
            source = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
        elif profile and mode in SPACES:
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
        else:
            return None
        if source.profile.xcolor_space.strip() != SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
            ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return None if mode in ("RGB", "L") and _changes_nothing(transform, mode) else transform
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        return None


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    levels = range(0, 256, 51)
    colours = bytes(level for colour in product(levels, repeat=len(mode)) for level in colour)
    before = Image.frombytes(mode, (len(levels) ** len(mode), 1), colours)
    after = cast("Image.Image", ImageCms.applyTransform(before, transform))
    return max(most for _, most in _extrema(ImageChops.difference(before.convert("RGB"), after))) <= ALIKE


def ground_of(picture: Image.Image) -> int:
    """The gray to put under a picture with transparent parts: white, unless what is drawn would hardly be seen on it.

    It is a middle gray where less than 2 percent of what is opaque differs from white by 16 levels or more. A light
    page with transparent margins is no drawing: what fills its box stays on white.
    """
    sample = picture
    if max(picture.size) > SAMPLE_PX:
        reduction = max(picture.size) / SAMPLE_PX
        size = [max(1, round(side / reduction)) for side in picture.size]
        sample = picture.resize((size[0], size[1]), Image.Resampling.NEAREST)
    sample = sample.convert("RGBA")
    opaque = sample.getchannel("A").point([255 * (alpha >= OPAQUE) for alpha in range(256)])
    num_opaque, box = opaque.histogram()[255], opaque.getbbox()
    if box is None or num_opaque > PAGE * (box[2] - box[0]) * (box[3] - box[1]):
        return WHITE
    red, green, blue = on_ground(sample, WHITE).split()
    darkest = ImageChops.darker(red, ImageChops.darker(green, blue))
    num_visible = sum(darkest.histogram()[: 256 - VISIBLE])
    return GRAY if num_visible < HARDLY * num_opaque else WHITE


def on_ground(picture: Image.Image, ground: int) -> Image.Image:
    """A picture with transparent parts, in RGB on a gray."""
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, (ground, ground, ground)), picture).convert("RGB")


def _extrema(picture: Image.Image) -> tuple[tuple[int, int], ...]:
    return cast("tuple[tuple[int, int], ...]", picture.getextrema())
