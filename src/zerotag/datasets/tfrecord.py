"""TFRecord files with ZLIB compression, and the byte features of the examples in them; without TensorFlow."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from zerotag.errors import MissingPackageError, ZerotagError

BLOCK_BYTES = 2**22
LONGEST_RECORD = 2**26
LENGTH, CHECK = struct.Struct("<Q"), struct.Struct("<I")
MASK = 0xA282EAD8


def records(file: Path) -> Iterator[bytes]:
    """The records of a file that is compressed with ZLIB, each checked by its checksum.

    Raises:
        MissingPackageError: google-crc32c is not installed.
        ZerotagError: the file is cut off or damaged.
    """
    value = _crc32c(file)

    def checked(content: bytes, check: bytes) -> bytes:
        if check != _masked(value(content)):
            raise ZerotagError(f"{file} is damaged: record {number + 1} does not have the content it was written with")
        return content

    number = 0
    with file.open("rb") as opened:
        stream = _Unzipped(file, opened)
        while head := stream.take(LENGTH.size + CHECK.size, number, may_end=True):
            (length,) = LENGTH.unpack(checked(head[: LENGTH.size], head[LENGTH.size :]))
            if length > LONGEST_RECORD:
                raise ZerotagError(
                    f"{file}: record {number + 1} would be {length:,} bytes long, but those of pictures are far below "
                    f"{LONGEST_RECORD:,}; download it again"
                )
            content = stream.take(length + CHECK.size, number)
            yield checked(content[:length], content[length:])
            number += 1


def write_records(file: Path, contents: Iterator[bytes]) -> None:
    """Write records as TensorFlow does with ZLIB compression.

    Raises:
        MissingPackageError: google-crc32c is not installed.
    """
    value = _crc32c(file)

    packer = zlib.compressobj()
    with file.open("wb") as opened:
        for content in contents:
            length = LENGTH.pack(len(content))
            parts = (length, _masked(value(length)), content, _masked(value(content)))
            opened.write(packer.compress(b"".join(parts)))
        opened.write(packer.flush())


def parse_example(record: bytes) -> dict[str, bytes]:
    """The byte features of a ``tf.train.Example`` by name.

    Raises:
        ValueError: it is none.
    """
    features: dict[str, bytes] = {}
    for of_example in _fields(record):
        for entry in _fields(of_example):
            name, feature = _fields(entry)
            (values,) = _fields(feature)  # the list of bytes
            (features[name.decode()],) = _fields(values)
    return features


def make_example(features: dict[str, bytes]) -> bytes:
    """A ``tf.train.Example`` of byte features."""
    entries = (
        _field(1, _field(1, name.encode()) + _field(2, _field(1, _field(1, content))))
        for name, content in features.items()
    )
    return _field(1, b"".join(entries))


def _fields(message: bytes) -> list[bytes]:
    """Contents of the length-delimited fields of a protocol-buffer message."""
    found, at = [], 0
    while at < len(message):
        tag, at = _number(message, at)
        if tag & 7 != 2:
            raise ValueError("a field that is no bytes")
        length, at = _number(message, at)
        if at + length > len(message):
            raise ValueError("a field that is longer than its message")
        found.append(message[at : at + length])
        at += length
    return found


def _number(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(message) or shift > 63:
            raise ValueError("a number without end")
        value |= (message[at] & 127) << shift
        shift, at = shift + 7, at + 1
        if message[at - 1] < 128:
            return value, at


def _field(number: int, content: bytes) -> bytes:
    length, left = bytearray(), len(content)
    while left > 127:
        length.append(left & 127 | 128)
        left >>= 7
    return bytes([number << 3 | 2, *length, left]) + content


class _Unzipped:
    """The unpacked bytes of a file, one after the other, with a few megabytes in memory."""

    def __init__(self, file: Path, opened: BinaryIO) -> None:
        self.file, self.opened, self.unpacker = file, opened, zlib.decompressobj()
        self.ready = bytearray()

    def take(self, number: int, record: int, *, may_end: bool = False) -> bytes:
        """The next bytes; none at the end of the stream, where that may be."""
        while len(self.ready) < number:
            packed = self.unpacker.unconsumed_tail or self.opened.read(BLOCK_BYTES)
            if not packed:
                self.ready += self.unpacker.flush()
                if len(self.ready) >= number:
                    break
                if may_end and not self.ready and self.unpacker.eof:
                    return b""
                raise ZerotagError(f"{self.file} ends within record {record + 1}: it was cut off; download it again")
            try:
                self.ready += self.unpacker.decompress(packed, BLOCK_BYTES)
            except zlib.error as error:
                raise ZerotagError(
                    f"{self.file} is no ZLIB stream or a damaged one ({error}); download it again"
                ) from error
        taken = bytes(self.ready[:number])
        del self.ready[:number]
        return taken


def _crc32c(file: Path) -> Callable[[bytes], int]:
    try:
        from google_crc32c import value
    except ImportError as error:
        raise MissingPackageError("google-crc32c", "formats", str(file)) from error
    return value


def _masked(crc: int) -> bytes:
    """A checksum as TensorFlow stores it."""
    return CHECK.pack(((crc >> 15 | crc << 17) + MASK) & 0xFFFFFFFF)
