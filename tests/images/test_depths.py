"""One picture in every mode of Pillow's and every format: each comes as the one of 8 bits does."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from encoded import bmp, png, tiff
from PIL import Image, ImageCms

from zerotag.images import open_picture

SIDE = 64
RAMP = np.linspace(0, 255, SIDE).round().astype(np.uint8)
GRAY = np.maximum.outer(RAMP[::-1] // 4 * 3, RAMP).astype(np.uint8)
COLOUR = np.stack([GRAY, GRAY.T, np.full_like(GRAY, 60)], axis=2)
G, C = Image.fromarray(GRAY), Image.fromarray(COLOUR)
G16, C16 = GRAY.astype(np.uint16) * 257, COLOUR.astype(np.uint16) * 257
OPAQUE16 = np.full((SIDE, SIDE, 1), 65535, np.uint16)


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def lab() -> bytes:
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    return saved(ImageCms.applyTransform(C, to_lab), "TIFF")


def rows_of_565() -> bytes:
    red, green, blue = (COLOUR[::-1, :, band].astype(np.uint16) for band in range(3))
    return (red >> 3 << 11 | green >> 2 << 5 | blue >> 3).astype("<u2").tobytes()


def rle_of_8_bits() -> bytes:
    rows = b"".join(bytes(b for value in row for b in (1, value)) + b"\0\0" for row in GRAY[::-1])
    palette = b"".join(bytes([value, value, value, 0]) for value in range(256))
    return bmp(rows + b"\0\1", SIDE, SIDE, bits=8, compression=1, behind_head=palette)


def heif(values: np.ndarray, mode: str) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    content = io.BytesIO()
    pillow_heif.encode(mode, (SIDE, SIDE), values.tobytes(), content, quality=-1)
    return content.getvalue()


def twelve_packed() -> bytes:
    values = (GRAY.astype(np.uint16) * 16).reshape(-1, 2)
    packed = np.stack([values[:, 0] >> 4, (values[:, 0] & 15) << 4 | values[:, 1] >> 8, values[:, 1] & 255], axis=1)
    return tiff(
        packed.astype(np.uint8).reshape(SIDE, SIDE * 3 // 2), 1, bits=12, tags=[(256, 4, SIDE.to_bytes(4, "little"))]
    )


IN_GRAY: dict[str, Callable[[], bytes]] = {
    "PNG of 16 bits": lambda: png(G16),
    "PNG of 16 bits, interlaced": lambda: png(G16, is_interlaced=True),
    "PNG of 16 bits with alpha": lambda: png(np.dstack([G16, OPAQUE16])),
    "PNG of 16 bits with a transparent value": lambda: png(G16, chunks=[(b"tRNS", b"\x12\x34")]),
    "PNG of 8 bits with alpha": lambda: saved(G.convert("LA"), "PNG"),
    "PNG with a transparent gray": lambda: saved(G, "PNG", transparency=255),
    **{f"PNG of {bits} in 16 bits": lambda bits=bits: png(G16 >> 16 - bits) for bits in (8, 10, 12, 14)},
    **{f"TIFF of {bits} in 16 bits": lambda bits=bits: tiff(G16 >> 16 - bits, 1) for bits in (8, 10, 12, 14, 16)},
    "TIFF of 16 bits, big-endian": lambda: tiff(G16, 1, order=">"),
    "TIFF of 12 in 16 bits, big-endian": lambda: tiff(G16 >> 4, 1, order=">"),
    "TIFF of 12 bits": twelve_packed,
    "TIFF of 16 bits, compressed": lambda: saved(Image.fromarray(G16), "TIFF", compression="tiff_lzw"),
    "TIFF of 16 bits, white is zero": lambda: tiff(65535 - G16, 0),
    "TIFF of 8 bits, white is zero": lambda: tiff(255 - GRAY, 0),
    "TIFF of 8 bits with a sign": lambda: tiff((GRAY.astype(int) - 128).astype(np.int8), 1),
    "TIFF of 7 bits with a sign": lambda: tiff((GRAY >> 1).astype(np.int8), 1),
    "TIFF of 16 bits with a sign": lambda: tiff((G16.astype(int) - 32768).astype(np.int16), 1),
    "TIFF of 15 bits with a sign": lambda: tiff((G16 >> 1).astype(np.int16), 1),
    "TIFF of 8 in 16 bits with a sign, big-endian": lambda: tiff(GRAY.astype(np.int16), 1, order=">"),
    "TIFF of 32 bits": lambda: tiff(GRAY.astype(np.uint32) << 24, 1),
    "TIFF of 8 in 32 bits": lambda: tiff(GRAY.astype(np.uint32), 1),
    "TIFF of 32 bits with a sign": lambda: tiff(((GRAY.astype(np.int64) << 24) - 2**31).astype(np.int32), 1),
    "TIFF of 16 in 32 bits": lambda: tiff(G16.astype(np.int32), 1, order=">"),
    "TIFF of floats": lambda: tiff((GRAY / 255).astype(np.float32), 1),
    "TIFF of floats, big-endian": lambda: tiff((GRAY / 255).astype(np.float32), 1, order=">"),
    "TIFF of floats, a little beyond": lambda: tiff((GRAY / 250 - 0.01).astype(np.float32), 1),
    "TIFF of floats to 255": lambda: tiff(GRAY.astype(np.float32), 1),
    "TIFF of floats to 65535": lambda: tiff(G16.astype(np.float32), 1),
    "TIFF of floats from -1 to 1": lambda: tiff((GRAY / 127.5 - 1).astype(np.float32), 1),
    "TIFF of floats, white is zero": lambda: tiff((1 - GRAY / 255).astype(np.float32), 0),
    "TIFF of floats with a declared maximum": lambda: tiff(
        (GRAY * 100.0).astype(np.float32), 1, tags=[(341, 11, np.float32(25500).tobytes())]
    ),
    "TIFF with alpha": lambda: tiff(np.dstack([GRAY, np.full_like(GRAY, 255)]), 1, extra=[2]),
    "TIFF with associated alpha": lambda: tiff(np.dstack([GRAY, np.full_like(GRAY, 255)]), 1, extra=[1]),
    "TIFF of several pages": lambda: saved(G, "TIFF", save_all=True, append_images=[Image.new("L", (9, 9))]),
    "JPEG": lambda: saved(G, "JPEG", quality=95),
    "BMP": lambda: saved(G, "BMP"),
    "BMP of runs": rle_of_8_bits,
    "GIF": lambda: saved(G, "GIF"),
    "HEIF of 10 bits": lambda: heif(G16, "L;16"),
}
IN_COLOUR: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: saved(C, "PNG"),
    "PNG, interlaced": lambda: png(COLOUR, is_interlaced=True),
    "PNG with alpha": lambda: saved(C.convert("RGBA"), "PNG"),
    "PNG with a transparent colour": lambda: saved(C, "PNG", transparency=(1, 2, 3)),
    "PNG of 16 bits": lambda: png(C16),
    "PNG of 16 bits, interlaced": lambda: png(C16, is_interlaced=True),
    "PNG of 16 bits with alpha": lambda: png(np.dstack([C16, OPAQUE16])),
    "PNG of 16 bits with a transparent colour": lambda: png(C16, chunks=[(b"tRNS", bytes([1, 2, 3, 4, 5, 6]))]),
    **{f"PNG of {bits} in 16 bits": lambda bits=bits: png(C16 >> 16 - bits) for bits in (8, 10, 12, 14)},
    **{f"TIFF of {bits} in 16 bits": lambda bits=bits: tiff(C16 >> 16 - bits, 2) for bits in (8, 10, 12, 14, 16)},
    "TIFF of 12 in 16 bits, big-endian": lambda: tiff(C16 >> 4, 2, order=">"),
    "TIFF of 12 in 16 bits with alpha": lambda: tiff(np.dstack([C16 >> 4, OPAQUE16]), 2, extra=[2]),
    "TIFF": lambda: saved(C, "TIFF"),
    "TIFF, compressed": lambda: saved(C, "TIFF", compression="tiff_lzw"),
    "TIFF of a JPEG": lambda: saved(C, "TIFF", compression="jpeg", quality=95),
    "TIFF with more samples": lambda: tiff(np.dstack([COLOUR, GRAY]), 2, extra=[0]),
    "TIFF with alpha": lambda: tiff(np.dstack([COLOUR, np.full_like(GRAY, 255)]), 2, extra=[2]),
    "TIFF with associated alpha": lambda: tiff(np.dstack([COLOUR, np.full_like(GRAY, 255)]), 2, extra=[1]),
    "TIFF of 16 bits with associated alpha": lambda: tiff(np.dstack([C16, OPAQUE16]), 2, extra=[1]),
    "TIFF in YCbCr": lambda: tiff(np.asarray(C.convert("YCbCr")), 6),
    "TIFF in LAB": lab,
    "TIFF in CMYK": lambda: saved(C.convert("CMYK"), "TIFF"),
    "TIFF in CMYK of 16 bits": lambda: tiff(np.asarray(C.convert("CMYK")).astype(np.uint16) * 257, 5),
    "JPEG": lambda: saved(C, "JPEG", quality=95, subsampling=0),
    "JPEG in CMYK": lambda: saved(C.convert("CMYK"), "JPEG", quality=95),
    "JPEG in CMYK without Adobe's mark": lambda: without_adobe(saved(C.convert("CMYK"), "JPEG", quality=95)),
    "JPEG in RGB": lambda: saved(C, "JPEG", quality=95, keep_rgb=True),
    "MPO": lambda: saved(C, "MPO", save_all=True, append_images=[C], quality=95, subsampling=0),
    "BMP": lambda: saved(C, "BMP"),
    "BMP of 16 bits": lambda: bmp(
        rows_of_565(), SIDE, SIDE, bits=16, compression=3, behind_head=np.array([0xF800, 0x7E0, 0x1F], "<u4").tobytes()
    ),
    "BMP of 32 bits with alpha at zero": lambda: bmp(
        np.dstack([COLOUR[::-1, :, ::-1], 0 * GRAY]).tobytes(),
        SIDE,
        SIDE,
        bits=32,
        compression=3,
        behind_head=bytes(12),
    ),
    "WebP": lambda: saved(C, "WEBP", quality=95),
    "WebP without loss": lambda: saved(C, "WEBP", lossless=True),
    "WebP with alpha": lambda: saved(C.convert("RGBA"), "WEBP", lossless=True),
    "animated WebP": lambda: saved(C, "WEBP", lossless=True, save_all=True, append_images=[Image.new("RGB", C.size)]),
    "animated PNG": lambda: saved(C, "PNG", save_all=True, append_images=[Image.new("RGB", C.size)]),
    "AVIF": lambda: saved(C, "AVIF", quality=95, subsampling="4:4:4"),
    "HEIF": lambda: heif(COLOUR, "RGB"),
    "HEIF of 10 bits": lambda: heif(C16, "RGB;16"),
    "HEIF of 10 bits with alpha": lambda: heif(np.dstack([C16, OPAQUE16]), "RGBA;16"),
}
IN_FEW_COLOURS: dict[str, Callable[[], bytes]] = {
    "PNG with a palette": lambda: saved(C.quantize(64), "PNG"),
    "PNG with a palette and a transparent colour": lambda: saved(C.quantize(64), "PNG", transparency=0),
    "PNG with a palette of 4 bits": lambda: saved(C.quantize(16), "PNG", bits=4),
    "TIFF with a palette": lambda: saved(C.quantize(64), "TIFF"),
    "BMP with a palette": lambda: saved(C.quantize(64), "BMP"),
    "GIF": lambda: saved(C.quantize(64), "GIF"),
}
BITONAL = G.point(lambda value: 255 * (value > 127)).convert("1")
IN_BLACK_AND_WHITE: dict[str, Callable[[], bytes]] = {
    "PNG": lambda: saved(BITONAL, "PNG"),
    "TIFF, white is zero": lambda: saved(BITONAL, "TIFF", tiffinfo={262: 0}),
    "TIFF of a fax": lambda: saved(BITONAL, "TIFF", compression="group4"),
    "BMP": lambda: saved(BITONAL, "BMP"),
}


def without_adobe(content: bytes) -> bytes:
    start = content.index(b"\xff\xee")
    return content[:start] + content[start + 2 + int.from_bytes(content[start + 2 : start + 4], "big") :]


def distance(content: bytes, reference: np.ndarray) -> float:
    """Mean difference of levels."""
    picture = np.asarray(open_picture(io.BytesIO(content))).astype(int)
    assert picture.shape == (SIDE, SIDE, 3)
    return float(np.abs(picture - reference.reshape(SIDE, SIDE, -1)).mean())


@pytest.mark.parametrize("name", IN_GRAY)
def test_gray_of_every_depth_comes_as_gray_of_8_bits(name: str) -> None:
    assert distance(IN_GRAY[name](), GRAY) < 2.5


@pytest.mark.parametrize("name", IN_COLOUR)
def test_colours_of_every_depth_and_space_come_as_those_of_8_bits(name: str) -> None:
    assert distance(IN_COLOUR[name](), COLOUR) < 4


@pytest.mark.parametrize("name", IN_FEW_COLOURS)
def test_palettes_come_as_their_colours(name: str) -> None:
    assert distance(IN_FEW_COLOURS[name](), COLOUR) < 12


@pytest.mark.parametrize("name", IN_BLACK_AND_WHITE)
def test_black_and_white_come_as_such(name: str) -> None:
    assert distance(IN_BLACK_AND_WHITE[name](), 255 * (GRAY > 127)) < 1
