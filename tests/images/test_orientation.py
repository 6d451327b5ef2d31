"""Of EXIF the orientation alone is read, whatever else stands there, and each format turns a picture once."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from encoded import tiff
from PIL import Image

from zerotag.images import open_picture, upright_size

BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SIGNED_SHORT, FLOAT, DOUBLE = 1, 2, 3, 4, 5, 7, 8, 11, 12
SIZE = {BYTE: 1, ASCII: 1, SHORT: 2, LONG: 4, RATIONAL: 8, UNDEFINED: 1, SIGNED_SHORT: 2, FLOAT: 4, DOUBLE: 8}
ORIENTATION = 0x0112
WIDTH, HEIGHT = 96, 64

Entry = tuple[int, int, bytes]
SIX: Entry = (ORIENTATION, SHORT, struct.pack("<H", 6))
ODD: dict[str, Entry] = {
    "unit of resolution as a long": (0x128, LONG, struct.pack("<L", 0x20000)),
    "artist as a double": (0x13B, DOUBLE, struct.pack("<d", 1.5)),
    "XMP as text": (0x2BC, ASCII, b"<x/>\0"),
    "resolution as text": (0x11A, ASCII, b"72\0"),
    "resolution of nothing": (0x11A, RATIONAL, bytes(8)),
    "resolution below zero": (0x11A, RATIONAL, struct.pack("<lL", -1, 0)),
    "version as four numbers": (0x9000, SHORT, struct.pack("<4H", 0, 2, 3, 0)),
    "directory of EXIF nowhere": (0x8769, LONG, struct.pack("<L", 0xFFFFFF)),
    "directory of EXIF as text": (0x8769, ASCII, b"none\0"),
    "GPS nowhere": (0x8825, LONG, struct.pack("<L", 0xFFFFFFFF)),
    "unknown type": (0x13B, 99, b"abcd"),
}
AS_SIX: dict[str, Entry] = {
    "long": (ORIENTATION, LONG, struct.pack("<L", 6)),
    "byte": (ORIENTATION, BYTE, b"\x06"),
    "undefined": (ORIENTATION, UNDEFINED, b"\x06"),
    "text": (ORIENTATION, ASCII, b"6\0"),
    "two numbers": (ORIENTATION, SHORT, struct.pack("<2H", 6, 6)),
    "rational": (ORIENTATION, RATIONAL, struct.pack("<2L", 6, 1)),
    "float": (ORIENTATION, FLOAT, struct.pack("<f", 6)),
}
AS_NONE: dict[str, Entry] = {
    "zero": (ORIENTATION, SHORT, struct.pack("<H", 0)),
    "nine": (ORIENTATION, SHORT, struct.pack("<H", 9)),
    "minus one": (ORIENTATION, SIGNED_SHORT, struct.pack("<h", -1)),
    "no number": (ORIENTATION, FLOAT, struct.pack("<f", float("nan"))),
    "one in nothing": (ORIENTATION, RATIONAL, struct.pack("<2L", 1, 0)),
    "words": (ORIENTATION, ASCII, b"top-left\0"),
    "nothing": (ORIENTATION, SHORT, b""),
}


def exif(*entries: Entry) -> bytes:
    """EXIF of one directory, with its entries in whatever type."""
    start = 8 + 2 + 12 * len(entries) + 4
    directory, spill = struct.pack("<H", len(entries)), b""
    for tag, kind, content in sorted(entries):
        value = content.ljust(4, b"\0")
        if len(content) > 4:
            value = struct.pack("<L", start + len(spill))
            spill += content
        directory += struct.pack("<HHL", tag, kind, len(content) // SIZE.get(kind, 1)) + value
    return b"Exif\0\0II*\0\x08\0\0\0" + directory + bytes(4) + spill


def lying() -> Image.Image:
    """A picture whose left third is red: orientation 6 brings that third to the top."""
    samples = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    samples[:, : WIDTH // 3] = 200, 10, 10
    samples[:, WIDTH // 3 :] = 10, 10, 200
    return Image.fromarray(samples)


def encoded_as(kind: str, *entries: Entry) -> io.BytesIO:
    if kind == "TIFF":
        return io.BytesIO(tiff(np.asarray(lying()), 2, tags=[entry for entry in entries if entry[1] in SIZE]))
    content = io.BytesIO()
    lying().save(content, kind, **({"lossless": True} if kind == "WEBP" else {}))
    whole, block = content.getvalue(), exif(*entries)
    if kind == "JPEG":
        return io.BytesIO(whole[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + whole[2:])
    content = io.BytesIO()
    lying().save(content, kind, exif=block, **({"lossless": True} if kind == "WEBP" else {}))
    return content


def is_upright(content: io.BytesIO) -> bool:
    picture = open_picture(content)
    red = np.asarray(picture)[..., 0] > 128
    return picture.size == (HEIGHT, WIDTH) == upright_size(content) and bool(
        red[5, 5] and red[5, -5] and not red[-5, 5]
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("name", ODD)
def test_what_else_is_odd_in_exif_stops_no_picture(kind: str, name: str) -> None:
    assert is_upright(encoded_as(kind, SIX, ODD[name]))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("name", AS_SIX)
def test_the_number_may_be_of_any_type(kind: str, name: str) -> None:
    assert is_upright(encoded_as(kind, AS_SIX[name]))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("name", AS_NONE)
def test_a_number_that_says_nothing_turns_nothing(kind: str, name: str) -> None:
    content = encoded_as(kind, AS_NONE[name])
    assert open_picture(content).size == upright_size(content) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_each_format_is_turned_once(kind: str, orientation: int) -> None:
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    samples = np.zeros((HEIGHT, WIDTH), np.uint8)
    samples[: HEIGHT // 2, : WIDTH // 2], samples[HEIGHT // 2 :, : WIDTH // 2] = 255, 128
    stored = {
        1: samples,
        2: samples[:, ::-1],
        3: samples[::-1, ::-1],
        4: samples[::-1],
        5: samples.T,
        6: np.rot90(samples),
        7: np.rot90(samples, 2).T,
        8: np.rot90(samples, -1),
    }[orientation]
    entry = exif((ORIENTATION, SHORT, struct.pack("<H", orientation)))
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(stored)).convert("RGB").save(content, kind, exif=entry)
    picture = np.asarray(open_picture(content)).astype(int)
    assert picture.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(picture[..., 0] - samples).mean() < 3
    assert upright_size(content) == (WIDTH, HEIGHT)


def test_odd_exif_stops_no_avif_that_is_turned() -> None:
    content = io.BytesIO()
    lying().save(content, "AVIF", exif=exif(SIX, (0x13B, ASCII, b"somebody\0")))
    entry = struct.pack("<HHL", 0x13B, ASCII, 9)
    assert content.getvalue().count(entry) == 1
    assert is_upright(io.BytesIO(content.getvalue().replace(entry, struct.pack("<HHL", 0x13B, DOUBLE, 1))))


def test_odd_exif_stops_no_heif_that_is_turned() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    content = io.BytesIO()
    lying().save(content, "HEIF", exif=exif(SIX, ODD["artist as a double"], ODD["XMP as text"]))
    assert is_upright(content)


def test_a_damaged_exif_leaves_the_picture_as_it_lies() -> None:
    whole = encoded_as("JPEG", SIX).getvalue()
    for damage in (
        b"Exif\0\0",
        b"Exif\0\0II*\0\xff\xff\0\0",
        b"Exif\0\0no EXIF at all",
        b"Exif\0\0II*\0\x08\0\0\0\x09\0",
    ):
        block = b"\xff\xe1" + struct.pack(">H", len(damage) + 2) + damage
        first = int.from_bytes(whole[4:6], "big")
        content = io.BytesIO(whole[:2] + block + whole[4 + first :])
        assert open_picture(content).size == (WIDTH, HEIGHT)
