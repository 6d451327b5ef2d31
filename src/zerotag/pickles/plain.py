"""Whether values that a pickle was read to are plain data, and no more of it than the file can mean."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

from zerotag.pickles.allowance import Refused

# the dtypes of numbers and texts, and what Python has of them
NUMBERS_AND_TEXTS = {str, bytes, bool, int, float, type(None)} | {
    np.dtype(code).type for code in ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "S", "U")
}
LEAVES = NUMBERS_AND_TEXTS | {np.ndarray, bytearray}
CONTAINERS = {list, tuple, dict, OrderedDict}
DEEPEST = 100
MOST_VALUES, VALUES_A_BYTE = 10_000_000, 100


def checked_keys(keys: Sequence[Any]) -> Sequence[Any]:
    """The same keys of a dict.

    Raises:
        Refused: one is neither a number nor a text; a tuple may take for ever to hash.
    """
    if odd := set(map(type, keys)) - NUMBERS_AND_TEXTS:
        raise Refused(f"it has a dict with a key that is no number or text, but of type '{odd.pop().__name__}'")
    return keys


def check_plain(value: Any, size: int) -> None:
    """Check the content of a file of ``size`` bytes.

    Raises:
        Refused: it is no plain data, holds itself, is nested too deep, or names its parts so often that whoever goes
            through it never ends.
    """
    most = MOST_VALUES + VALUES_A_BYTE * size
    known: dict[int, tuple[int, int]] = {}

    def extent(container: Any, depth: int) -> tuple[int, int]:
        """How many values there are in a container, and how many containers within one another."""
        if depth > DEEPEST:
            raise Refused(f"it has lists within lists, more than {DEEPEST} deep, or one that holds itself")
        parts = container.values() if isinstance(container, dict) else container
        kinds = set(map(type, parts))
        if kinds - LEAVES - CONTAINERS:
            raise Refused(
                "it holds a function, a class or an unfinished array, not arrays, lists, dicts, texts, numbers"
            )
        number, height = len(parts), 0
        for part in parts if kinds - NUMBERS_AND_TEXTS else ():
            if isinstance(part, np.ndarray):
                number += part.size
            elif type(part) in CONTAINERS:
                within, inner = known.get(id(part)) or extent(part, depth + 1)
                number, height = number + within, max(height, inner)
        if number > most or height >= DEEPEST:
            raise Refused(f"it holds its parts within one another so often that there are {number:,} values or more")
        known[id(container)] = number, height + 1
        return known[id(container)]

    extent([value], 0)
