from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from encoded import tiff
from PIL import Image

from zerotag import images
from zerotag.images import BadPictureError, open_picture, upright_size

RED, CLEAR = (200, 10, 10), (0, 0, 0, 0)


def saved(picture: Image.Image, path: Path, kind: str, **options: object) -> Path:
    picture.save(path, kind, **options)
    return path


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "I;16", "1"])
def test_pictures_of_every_mode_come_as_rgb(mode: str, tmp_path: Path) -> None:
    kind = "TIFF" if mode in ("CMYK", "I;16") else "PNG"
    picture = open_picture(saved(Image.new(mode, (6, 4)), tmp_path / "a", kind))
    assert (picture.mode, picture.size) == ("RGB", (6, 4))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_parts_are_white(mode: str, tmp_path: Path) -> None:
    picture = Image.new("RGBA", (4, 4), CLEAR).convert(mode)
    options = {"transparency": picture.getpixel((0, 0))} if mode == "P" else {}
    path = saved(picture, tmp_path / "a.png", "PNG", **options)
    assert open_picture(path).getpixel((1, 1)) == (255, 255, 255)


def test_a_turned_photo_is_set_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = Image.new("RGB", (8, 4))
    picture.paste(RED, (0, 0, 2, 4))
    upright = open_picture(saved(picture, tmp_path / "a.png", "PNG", exif=exif))
    assert upright.size == (4, 8)
    assert (upright.getpixel((0, 0)), upright.getpixel((0, 7))) == (RED, (0, 0, 0))


def test_the_format_is_told_by_the_content(tmp_path: Path) -> None:
    assert open_picture(saved(Image.new("RGB", (3, 3), RED), tmp_path / "a.jpg", "PNG")).getpixel((0, 0)) == RED


def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (3, 3), colour) for colour in (RED, (0, 0, 0))]
    path = saved(frames[0], tmp_path / "a.webp", "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert open_picture(path).getpixel((0, 0)) == RED


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "its content is none of JPEG"),
        (b"hello, I am text", "its content is none of JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "its content is none of JPEG"),
        (b"%PDF-1.4\n", "its content is none of JPEG"),
    ],
)
def test_what_is_no_picture_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(BadPictureError, match="cannot be read") as caught:
        open_picture(path)
    assert caught.value.source == path and caught.value.reason.startswith(reason)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "HEIF"])
def test_a_truncated_picture_is_refused(kind: str, tmp_path: Path) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    noise = Image.effect_noise((64, 64), 90).convert("RGB")
    path = saved(noise, tmp_path / "a", kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadPictureError, match="damaged") as caught:
        open_picture(path)
    assert caught.value.is_lasting


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            tiff(np.zeros((4, 4, 3), np.float32), 2),
            "a TIFF of a kind that cannot be decoded, or damaged (unknown pixel",
        ),
        (tiff(np.full((4, 4), np.nan, np.float32), 1), "some of its values are no finite numbers"),
        (tiff(np.full((4, 4), np.inf, np.float32), 1), "some of its values are no finite numbers"),
        (b"\x89PNG\r\n\x1a\n", "a PNG of a kind that cannot be decoded, or damaged ("),
    ],
)
def test_what_cannot_be_decoded_is_refused_with_its_reason(content: bytes, reason: str) -> None:
    with pytest.raises(BadPictureError) as caught:
        open_picture(io.BytesIO(content))
    assert caught.value.reason.startswith(reason) and caught.value.is_lasting


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(BadPictureError, match="no regular file"):
        open_picture(tmp_path / "a.jpg")
    with pytest.raises(BadPictureError, match="no regular file"):
        open_picture(Path("/dev/zero"))


def test_a_file_out_of_reach_may_be_read_later(tmp_path: Path) -> None:
    with pytest.raises(BadPictureError) as caught:
        open_picture(tmp_path / "none.png")
    assert not caught.value.is_lasting
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.reason, error.is_lasting) == (caught.value.reason, False)


def test_every_suffix_of_a_decoder_is_known() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    Image.init()
    names = {suffix for suffix, name in Image.EXTENSION.items() if name in (*images.FORMATS, "HEIF", "MPO")}
    assert names <= images.SUFFIXES


def test_a_picture_of_too_many_pixels_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(Image.new("RGB", (40, 30)), tmp_path / "a.png", "PNG")
    monkeypatch.setattr(images, "MAX_PIXELS", 1199)
    with pytest.raises(BadPictureError, match="40 x 30 is over 1,199 pixels"):
        open_picture(path)
    monkeypatch.setattr(images, "MAX_PIXELS", 1200)
    assert open_picture(path).size == (40, 30)


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadPictureError, match=r"none\.png cannot be read: No such file"):
        open_picture(tmp_path / "none.png")


@pytest.mark.parametrize(("orientation", "size"), [(1, (300, 200)), (6, (200, 300)), (8, (200, 300)), (3, (300, 200))])
def test_the_size_is_that_of_the_picture_as_it_is_shown(
    orientation: int, size: tuple[int, int], tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(Image.new("RGB", (300, 200)), tmp_path / "a.jpg", "JPEG", exif=exif)
    assert upright_size(path) == size == open_picture(path).size


def test_a_jpeg_comes_reduced_but_never_too_small(tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (4000, 3000), RED), tmp_path / "a.jpg", "JPEG")
    assert open_picture(path, side_px=288).size == (1000, 750)
    assert open_picture(path, side_px=2000).size == (4000, 3000)
    assert open_picture(path, side_px=288).getpixel((5, 5)) == open_picture(path).getpixel((20, 20))


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_pictures_of_phones(kind: str, tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (64, 48), RED), tmp_path / "a.heic", kind)
    red, green, blue = open_picture(path).getpixel((20, 20))
    assert red > 180 and green < 40 and blue < 40


def test_pictures_come_from_memory_too(tmp_path: Path) -> None:
    path = saved(Image.new("RGB", (6, 4), RED), tmp_path / "a", "PNG")
    assert open_picture(io.BytesIO(path.read_bytes())).getpixel((1, 1)) == RED
    with pytest.raises(BadPictureError, match="the picture cannot be read"):
        open_picture(io.BytesIO(b"nothing"))
