"""Colour profiles, built from the primaries that their standards state (adapted to D50)."""

from __future__ import annotations

import struct
from collections.abc import Sequence

WHITE = (0.9642, 1.0, 0.8249)
ADOBE_RGB = ((0.60974, 0.31111, 0.01947), (0.20528, 0.62567, 0.06087), (0.14919, 0.06322, 0.74457))
DISPLAY_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
PROPHOTO = ((0.79767, 0.28804, 0.0), (0.13519, 0.71188, 0.0), (0.03134, 0.00009, 0.82491))
SRGB = ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.71410))


def rgb_profile(primaries: Sequence[Sequence[float]], gamma: float | None) -> bytes:
    """Of three primaries and a gamma; without one, sRGB's curve."""
    curve = _curve(gamma)
    tags = {b"wtpt": _xyz(WHITE), **{name + b"TRC": curve for name in (b"r", b"g", b"b")}}
    tags |= {name + b"XYZ": _xyz(one) for name, one in zip((b"r", b"g", b"b"), primaries, strict=True)}
    return _profile(b"mntr", b"RGB ", b"XYZ ", tags)


def gray_profile(gamma: float) -> bytes:
    return _profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": _xyz(WHITE), b"kTRC": _curve(gamma)})


def cmyk_profile() -> bytes:
    """Of inks that darken alike, so that any ink alone is a middle gray."""
    lightness = [round(255 * max(0.0, 1 - inks.bit_count() / 2)) for inks in range(16)]
    grid = bytes(value for light in lightness for value in (light, 128, 128))
    identity = bytes(range(256))
    ones = struct.pack(">9l", *(65536 * (row == column) for row in range(3) for column in range(3)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + ones + 4 * identity + grid + 3 * identity
    return _profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": _xyz(WHITE), b"A2B0": table})


def _curve(gamma: float | None) -> bytes:
    if gamma is not None:
        return b"curv" + bytes(4) + struct.pack(">LH", 1, round(256 * gamma))
    levels = [level / 1023 for level in range(1024)]
    linear = [level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4 for level in levels]
    return b"curv" + bytes(4) + struct.pack(">L1024H", 1024, *(round(65535 * level) for level in linear))


def _xyz(values: Sequence[float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3l", *(round(65536 * value) for value in values))


def _profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    name = b"made"
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">L", len(name) + 1) + name + bytes(79),
        b"cprt": b"text" + bytes(4) + b"none\0",
        **tags,
    }
    directory, data = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for tag, content in tags.items():
        directory += tag + struct.pack(">LL", start + len(data), len(content))
        data += content + bytes(-len(content) % 4)
    size = start + len(data)
    white = struct.pack(">3l", *(round(65536 * value) for value in WHITE))
    head = struct.pack(">L", size) + b"none" + bytes([2, 0x40, 0, 0]) + kind + space + connection
    head += struct.pack(">6H", 2020, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + white
    return head.ljust(128, b"\0") + struct.pack(">L", len(tags)) + directory + data
