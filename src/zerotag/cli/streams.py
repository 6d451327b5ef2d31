"""Standard output and error that stop no work: what they cannot encode is escaped, what they cannot take, dropped."""

from __future__ import annotations

import errno
import os
import select
import sys
from io import BufferedWriter, RawIOBase, TextIOWrapper
from typing import Any, TextIO

STANDARD_DESCRIPTORS = 3


class Enduring(RawIOBase):
    """A raw stream whose first error is kept for the end of the command; what is written after it is dropped.

    Attributes:
        error: that error, if there was one.
    """

    def __init__(self, raw: RawIOBase) -> None:
        self.raw = raw
        self.error: OSError | None = None

    def writable(self) -> bool:
        """Yes."""
        return True

    def fileno(self) -> int:
        """The descriptor behind it."""
        return self.raw.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self.raw.isatty()

    def write(self, data: Any) -> int:
        """Write what can be written, however long the reader takes."""
        while self.error is None:
            try:
                written = self.raw.write(data)
            except OSError as error:
                self.error = error
            else:
                if written is not None:
                    return written
                select.select([], [self.raw], [])  # somebody made it a stream that does not wait
        return len(data)


def endure() -> None:
    """Put enduring streams in the place of standard output and error, unless somebody replaced these already.

    Where a descriptor is closed, the next file that is opened would get its number, and what a library prints would be
    written into that file; so closed ones are opened first.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < STANDARD_DESCRIPTORS:
        pass
    os.close(descriptor)
    if sys.stdout is sys.__stdout__:
        sys.stdout = _enduring(sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _enduring(sys.stderr)


def lost_output() -> str | None:
    """Why not all of standard output could be written; None where it was, or where its reader had read enough."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    error = raw.error if isinstance(raw, Enduring) else None
    if error is None or error.errno == errno.EPIPE:
        return None
    return error.strerror or str(error)


def _enduring(stream: TextIO | Any) -> Any:
    if not isinstance(stream, TextIOWrapper):  # closed, or a program's own
        return stream
    raw: Any = getattr(stream.buffer, "raw", stream.buffer)
    return TextIOWrapper(
        BufferedWriter(Enduring(raw)),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
