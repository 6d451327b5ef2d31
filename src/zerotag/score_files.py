"""Scores and annotations of other programs: NumPy files of images by labels, mapped rather than read."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError

import numpy as np
from jaxtyping import Float, Int8
from numpy.lib.format import open_memmap

from zerotag.errors import ZerotagError


def read_scores(file: Path) -> Float[np.ndarray, "n c"]:
    """Scores of N images by C labels; those in half, single or double precision stay on disk.

    Raises:
        ZerotagError: no such file, no NumPy array of two axes, or no numbers.
    """
    scores = _array(file)
    if not np.issubdtype(scores.dtype, np.floating):
        raise ZerotagError(f"{file} holds {scores.dtype}, but scores are floating-point numbers; look for another file")
    return scores


def read_annotations(file: Path, *, zeros_are_negative: bool = False) -> Int8[np.ndarray, "n c"]:
    """Annotations of N images by C labels: 1 positive, −1 negative, 0 unknown; as int8 they stay on disk.

    Args:
        file: the array, of any kind of whole numbers, truth values, or numbers that are whole.
        zeros_are_negative: the file has 1 and 0 for positive and negative.

    Raises:
        ZerotagError: no such file, no NumPy array of two axes, other values, or zeros where it is not clear what they
            are.
    """
    annotations = _array(file)
    lowest, highest = annotations.min(initial=0), annotations.max(initial=0)
    if lowest < -1 or highest > 1 or (annotations.dtype.kind == "f" and (annotations % 1).any()):
        raise ZerotagError(f"{file} has values from {lowest} to {highest}; annotations are 1, 0 and -1 alone")
    if zeros_are_negative:
        if lowest < 0:
            raise ZerotagError(f"{file} has -1 for negative labels, so its zeros are unknown ones, not negative")
        return np.where(annotations == 1, np.int8(1), np.int8(-1))
    if lowest == 0:
        raise ZerotagError(
            f"{file} has no -1, so all that is known of its labels is where they are right; if its zeros mean "
            "negative, add --zeros-are-negative"
        )
    return annotations.astype(np.int8, copy=False)


def _array(file: Path) -> np.ndarray:
    try:
        array: np.ndarray = open_memmap(file, "r")
    except OSError as error:
        raise ZerotagError(f"{file} cannot be read ({error.strerror})") from error
    except (
        ValueError,
        TypeError,
        OverflowError,
        SyntaxError,
        TokenError,
    ) as error:  # what a damaged header says can be of any kind
        raise ZerotagError(f"{file} is no NumPy array of numbers ({error}); write it with numpy.save") from error
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise ZerotagError(f"{file} must hold one array of numbers with two axes, images by labels")
    return array
