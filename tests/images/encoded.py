"""Pictures in encodings that Pillow does not write: TIFF of any samples, PNG of 16 bits a band or interlaced, BMP."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np

ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
PNG_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}


def tiff(
    samples: np.ndarray,
    photometric: int,
    *,
    extra: Sequence[int] = (),
    order: str = "<",
    bits: int | None = None,
    tags: Sequence[tuple[int, int, bytes]] = (),
) -> bytes:
    """Uncompressed, of the array's type of samples; ``tags`` are more entries of tag, type and data."""
    samples = samples if samples.ndim == 3 else samples[..., None]
    height, width, bands = samples.shape
    kind = {"u": 1, "i": 2, "f": 3}[samples.dtype.kind]
    data = samples.astype(samples.dtype.newbyteorder(order)).tobytes()
    depth = bits or 8 * samples.dtype.itemsize

    def shorts(*values: int) -> tuple[int, bytes]:
        return 3, struct.pack(f"{order}{len(values)}H", *values)

    def long(value: int) -> tuple[int, bytes]:
        return 4, struct.pack(f"{order}L", value)

    entries = {256: long(width), 257: long(height), 258: shorts(*[depth] * bands), 259: shorts(1)}
    entries |= {262: shorts(photometric), 273: long(8), 277: shorts(bands), 278: long(height), 279: long(len(data))}
    entries |= {339: shorts(*[kind] * bands)}
    if extra:
        entries[338] = shorts(*extra)
    entries |= {tag: (form, content) for tag, form, content in tags}
    data += bytes(len(data) % 2)
    directory = struct.pack(f"{order}H", len(entries))
    behind = 8 + len(data) + 2 + 12 * len(entries) + 4
    spill = b""
    for tag, (form, content) in sorted(entries.items()):
        count = len(content) // {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 8: 2, 11: 4, 12: 8}[form]
        value = content.ljust(4, b"\0")
        if len(content) > 4:
            value = struct.pack(f"{order}L", behind + len(spill))
            spill += content
        directory += struct.pack(f"{order}HHL", tag, form, count) + value
    mark = b"II*\0" if order == "<" else b"MM\0*"
    return mark + struct.pack(f"{order}L", 8 + len(data)) + data + directory + bytes(4) + spill


def png(samples: np.ndarray, *, is_interlaced: bool = False, chunks: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """Of 8 or 16 bits a band; ``chunks`` come before the pixels."""
    samples = samples if samples.ndim == 3 else samples[..., None]
    height, width, bands = samples.shape
    depth = 8 * samples.dtype.itemsize
    passes = [samples[y::down, x::right] for y, x, down, right in ADAM7] if is_interlaced else [samples]
    big = samples.dtype.newbyteorder(">")
    raw = b"".join(b"\0" + row.astype(big).tobytes() for part in passes if part.size for row in part)
    head = struct.pack(">LLBBBBB", width, height, depth, PNG_COLOURS[bands], 0, 0, is_interlaced)

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))

    parts = [(b"IHDR", head), *chunks, (b"IDAT", zlib.compress(raw, 1)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, body) for kind, body in parts)


def bmp(rows: bytes, width: int, height: int, *, bits: int, compression: int = 0, behind_head: bytes = b"") -> bytes:
    """With a head of 40 bytes, and what stands between it and the rows: masks, or a palette."""
    start = 14 + 40 + len(behind_head)
    head = struct.pack("<LllHHLLllLL", 40, width, height, 1, bits, compression, len(rows), 0, 0, 0, 0)
    return b"BM" + struct.pack("<LHHL", start + len(rows), 0, 0, start) + head + behind_head + rows
