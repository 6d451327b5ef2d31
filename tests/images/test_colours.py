"""Colours come in sRGB whatever profile they are written in, and drawings are seen against their ground."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw
from profiles import ADOBE_RGB, DISPLAY_P3, PROPHOTO, SRGB, cmyk_profile, gray_profile, rgb_profile
from sklearn.datasets import load_sample_image

from zerotag import images
from zerotag.images import open_picture, strips

PROFILES = {
    "Adobe RGB": rgb_profile(ADOBE_RGB, 2.2),
    "Display P3": rgb_profile(DISPLAY_P3, None),
    "ProPhoto": rgb_profile(PROPHOTO, 1.8),
}
WHITE, GRAY = (255, 255, 255), (128, 128, 128)


def colours(side: int = 64) -> Image.Image:
    ramp = np.linspace(20, 235, side)
    red, green = np.meshgrid(ramp, ramp)
    return Image.fromarray(np.stack([red, green, 255 - red / 2 - green / 2], axis=2).round().astype(np.uint8))


def written_in(picture: Image.Image, profile: bytes) -> Image.Image:
    target = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    source = ImageCms.createProfile("sRGB")
    return ImageCms.profileToProfile(picture, source, target, ImageCms.Intent.RELATIVE_COLORIMETRIC, outputMode="RGB")


def reopened(picture: Image.Image, kind: str = "PNG", side_px: int | None = None, **options: object) -> Image.Image:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return open_picture(content, side_px=side_px)


def distance(one: Image.Image, other: Image.Image) -> float:
    return float(np.abs(np.asarray(one).astype(int) - np.asarray(other)).mean())


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_wide_colours_come_as_they_are_meant(name: str, kind: str) -> None:
    photograph = Image.fromarray(load_sample_image("flower.jpg"))
    written = written_in(photograph, PROFILES[name])
    options = {"lossless": True} if kind == "WEBP" else {}
    ignored = distance(written, photograph)
    converted = distance(reopened(written, kind, icc_profile=PROFILES[name], **options), photograph)
    print(f"{kind} in {name}: {ignored:.1f} of 255 levels off, {converted:.2f} once it is converted")
    assert ignored > 5 > 0.75 > converted


def test_a_wide_picture_is_reduced_before_it_is_converted() -> None:
    written = written_in(colours(640), PROFILES["Display P3"])
    picture = reopened(written, side_px=32, icc_profile=PROFILES["Display P3"])
    assert picture.size == (107, 107)
    assert distance(picture, colours(640).reduce(6)) < 1.5


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_profiles_hold_for_transparent_pictures_and_palettes(mode: str) -> None:
    written = written_in(colours(), PROFILES["Adobe RGB"])
    written = written.convert("RGBA") if mode == "RGBA" else written.quantize(128)
    picture = reopened(written, icc_profile=PROFILES["Adobe RGB"])
    assert distance(picture, colours()) < distance(written.convert("RGB"), colours()) / 1.4


def test_a_profile_of_srgb_changes_nothing() -> None:
    for profile in (rgb_profile(SRGB, None), ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        assert reopened(colours(), icc_profile=profile).tobytes() == colours().tobytes()


def test_gray_is_brought_to_the_curve_of_srgb() -> None:
    gray = Image.linear_gradient("L")
    picture = reopened(gray, icc_profile=gray_profile(1.0))
    assert picture.getpixel((0, 55)) == pytest.approx((128, 128, 128), abs=2)
    transparent = reopened(gray.convert("LA"), icc_profile=gray_profile(1.0))
    assert transparent.tobytes() == picture.tobytes()


def test_inks_are_mixed_as_their_profile_says() -> None:
    cyan = Image.new("CMYK", (8, 8), (255, 0, 0, 0))
    assert reopened(cyan, "TIFF").getpixel((4, 4)) == (0, 255, 255)
    for kind in ("TIFF", "JPEG"):
        red, green, blue = reopened(cyan, kind, icc_profile=cmyk_profile()).getpixel((4, 4))
        assert 100 < red < 140 and abs(red - green) < 4 and abs(red - blue) < 4


@pytest.mark.parametrize(
    "profile",
    [b"no profile", PROFILES["Adobe RGB"][:200], cmyk_profile(), gray_profile(1.0), b"\0" * 3000],
    ids=["words", "cut off", "for inks", "for gray", "nothing"],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_a_profile_that_is_broken_or_of_another_mode_is_ignored(profile: bytes, kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    with_it = reopened(colours(), kind, icc_profile=profile, **options)
    assert with_it.tobytes() == reopened(colours(), kind, **options).tobytes()


def drawing(fill: tuple[int, ...], outline: tuple[int, ...] | None = None) -> Image.Image:
    picture = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    ImageDraw.Draw(picture).ellipse((20, 20, 80, 80), fill=fill, outline=outline, width=4)
    return picture


@pytest.mark.parametrize("fill", [(255, 255, 255, 255), (240, 240, 245, 255), (255, 255, 255, 90)])
def test_a_light_drawing_is_put_on_gray(fill: tuple[int, ...]) -> None:
    for picture in (drawing(fill), drawing(fill).resize((900, 900))):
        assert reopened(picture).getpixel((2, 2)) == GRAY
    palette = drawing(fill).quantize(8)
    assert reopened(palette).getpixel((2, 2)) == GRAY


@pytest.mark.parametrize(
    ("fill", "outline"),
    [
        ((200, 30, 30, 255), None),
        ((255, 230, 60, 255), None),
        ((0, 0, 0, 255), None),
        ((255, 255, 255, 255), (90, 90, 90, 255)),
        ((0, 0, 0, 60), None),
        ((0, 0, 0, 0), None),
    ],
)
def test_any_other_drawing_is_put_on_white(fill: tuple[int, ...], outline: tuple[int, ...] | None) -> None:
    assert reopened(drawing(fill, outline)).getpixel((2, 2)) == WHITE


def test_a_light_page_with_transparent_margins_stays_on_white() -> None:
    page = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    ImageDraw.Draw(page).rounded_rectangle((20, 10, 80, 90), radius=6, fill=(252, 252, 252, 255))
    assert reopened(page).getpixel((2, 2)) == WHITE


def on_white(picture: Image.Image) -> Image.Image:
    ground = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1"])
@pytest.mark.parametrize("size", [(300, 200), (1, 1), (1, 30_000)])
@pytest.mark.parametrize("strip_pixels", [10**6, 1000])
def test_ordinary_pictures_come_as_pillow_converts_them(
    mode: str, size: tuple[int, int], strip_pixels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strips, "STRIP_PIXELS", strip_pixels)
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 4), np.uint8)
    picture = Image.fromarray(noise).convert(mode)
    content = io.BytesIO()
    picture.save(content, "PNG", compress_level=1)
    plain = on_white(picture) if picture.has_transparency_data else picture.convert("RGB")
    for side_px in (None, 32):
        opened = open_picture(content, side_px=side_px)
        assert (opened.mode, opened.size) == ("RGB", size) and opened.tobytes() == plain.tobytes()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1", "CMYK", "I;16", "I", "F"])
def test_a_large_picture_comes_reduced_to_what_it_is(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "WHOLE_PIXELS", 10_000)
    monkeypatch.setattr(strips, "STRIP_PIXELS", 1000)
    plain = colours(501).convert("L" if mode in ("L", "LA", "1", "I;16", "I", "F") else "RGB")
    picture = plain.point(lambda value: value * 257, "I").convert(mode) if mode == "I;16" else plain.convert(mode)
    reduced = reopened(picture, "TIFF", side_px=32)
    assert reduced.size == (101, 101)
    assert distance(reduced, plain.convert("RGB").reduce(5)) < (10 if mode in ("P", "1") else 4)
