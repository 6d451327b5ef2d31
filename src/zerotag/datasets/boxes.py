"""Boxes of tables, in pixels, as shares of their pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Box = tuple[float, float, float, float]
BEYOND_PX = 1  # boxes of sound tables reach over the edge by a rounding error


@dataclass
class Boxes:
    """What was seen of the boxes of a table.

    Attributes:
        empty: how many are inverted, have no area, or lie outside of their picture.
        cut: how many reached beyond their picture.
        tiny: how many lie within the first pixel, as shares of a picture do.
    """

    empty: int = 0
    cut: int = 0
    tiny: int = 0

    def shares(self, box: Sequence[float], width: float, height: float) -> Box | None:
        """Left, top, right and bottom as shares of the picture, cut off at its edges; None where no area is left."""
        left, top, right, bottom = (value / side for value, side in zip(box, (width, height) * 2, strict=True))
        cut = (max(left, 0.0), max(top, 0.0), min(right, 1.0), min(bottom, 1.0))
        if not (cut[0] < cut[2] and cut[1] < cut[3]):
            self.empty += 1
            return None
        self.tiny += max(box) <= 1 < max(width, height)
        beyond = (-box[0], -box[1], box[2] - width, box[3] - height)
        self.cut += max(beyond) > BEYOND_PX
        return cut

    def notes(self, table: str) -> list[str]:
        """What is odd, a sentence each."""
        found = {
            "are inverted, without area or outside of the picture, and have no part in the pointing game": self.empty,
            "reach beyond the picture and are cut off at the edge": self.cut,
            "lie within the first pixel; boxes are in pixels, not shares of the picture": self.tiny,
        }
        return [f"{table}: {number} boxes {what}" for what, number in found.items() if number]
