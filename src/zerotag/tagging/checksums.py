"""Whether the vectors of a catalogue are as they were written, told by a checksum that costs a tenth of reading them.

The checksum of a content is the sum of 64-bit words, the CRC of its digest and its size before those of its vectors,
each times an odd number of its place, modulo 2**64: no change of one word leaves it as it was.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

WORD_BYTES = 8
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
GREATEST, LEAST = 0x7C00, 0xFC00  # a float16 from these bits on is not finite, as a signed and an unsigned number

Row = tuple[bytes, int, int, Any]  # digest, width, height, vectors: bytes, if the file is whole


def checksum(row: Row) -> int:
    """The checksum of a content."""
    return int(_checksums([row], np.frombuffer(row[3], np.uint8)[None])[0])


def checked(
    rows: Sequence[Row], noted: Sequence[int | None], num_bytes: int
) -> tuple[UInt8[np.ndarray, "b n"], list[str | None]]:
    """The vectors of contents as they are kept, and what is wrong with each, None where nothing is.

    Args:
        rows: Contents; the vectors of those of another length are left out.
        noted: Their checksums as they were written; None for those of a catalogue's first format, which has none.
        num_bytes: Length that their vectors should have.
    """
    found: list[str | None] = [
        None if isinstance(row[3], bytes) and len(row[3]) == num_bytes > 0 else "they are of another kind or length"
        for row in rows
    ]
    whole = [index for index, fault in enumerate(found) if fault is None]
    content = b"".join([rows[index][3] for index in whole])
    vectors = np.frombuffer(content, np.uint8).reshape(len(whole), max(num_bytes, 0))
    sums = _checksums([rows[index] for index in whole], vectors).tolist() if whole else []
    for index, now in zip(whole, sums, strict=True):
        if noted[index] is None:
            found[index] = None if is_finite(rows[index][3]) else "they are not finite"
        elif noted[index] != now:
            found[index] = "their checksum is another"
    return vectors, found


def _checksums(rows: Sequence[Row], vectors: UInt8[np.ndarray, "b n"]) -> Int64[np.ndarray, " b"]:
    head = np.array([(zlib.crc32(row[0]), *row[1:3]) for row in rows], np.int64).view(np.uint64)
    if rest := -vectors.shape[1] % WORD_BYTES:
        vectors = np.pad(vectors, ((0, 0), (0, rest)))
    words = vectors.view("<u8")
    weights = _weights(head.shape[1] + words.shape[1])
    sums = head @ weights[: head.shape[1]] + np.einsum("bw,w->b", words, weights[head.shape[1] :])
    found: Int64[np.ndarray, " b"] = sums.view(np.int64)
    return found


def is_finite(vectors: bytes) -> bool:
    """Whether float16 numbers are finite."""
    return bool(np.frombuffer(vectors, "<i2").max() < GREATEST and np.frombuffer(vectors, "<u2").max() < LEAST)


@lru_cache(maxsize=4)
def _weights(number: int) -> np.ndarray:
    return (np.arange(1, number + 1, dtype=np.uint64) * GOLDEN) | np.uint64(1)
