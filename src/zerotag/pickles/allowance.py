"""How much may be made of a pickle file: little more than its bytes, or it is a bomb."""

from __future__ import annotations

TIMES = 3  # a byte may be written as text, encoded, and be part of an array
PAIR, OBJECT = 10, 2  # what an entry of an ordered dict and an item of an array count for: few are written in less


class Refused(ValueError):  # noqa: N818 - a file is refused
    """A pickle holds something else than plain data; the message says what."""


class Allowance:
    """What is left of the bytes and values that may be copied out of a file.

    A pickle can name a value a million times, in two bytes each; a copy for each would fill the memory.

    Attributes:
        size: number of bytes of the file.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._left = TIMES * size

    def spend(self, number: int) -> None:
        """Take ``number`` bytes or values off.

        Raises:
            Refused: so many are not left.
        """
        self._left -= number
        if self._left < 0:
            raise Refused(f"it makes more of its {self.size:,} bytes than they hold, over and over")
