"""Colours that the tests' small world is painted in."""

from __future__ import annotations

COLOURS = {
    "red": (220, 30, 30), "green": (30, 160, 50), "blue": (40, 60, 220), "yellow": (240, 220, 40),
    "purple": (140, 40, 160), "orange": (250, 140, 20), "pink": (250, 150, 190), "black": (10, 10, 10),
    "white": (250, 250, 250), "cyan": (60, 210, 220),
}  # fmt: skip
