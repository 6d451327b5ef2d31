"""Files read in worker processes: a decoder that hangs, dies or takes too much memory costs its own picture alone.

Workers import neither torch nor NumPy, so they start in half a second and stay small. A picture that could need more
memory than one of them may take is decoded by another worker, of which there is one, so that many large pictures take
no more memory than one does.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as TookTooLong
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, TypeVar

from pebble import ProcessExpired
from PIL import Image

from zerotag.images import BadPictureError, NeedsMemoryError, is_access, open_sized, squared
from zerotag.tagging.workers import Workers

SECONDS_A_FILE = 10.0
WORKER_BYTES = 512 * 2**20
LARGE_BYTES, LARGE_TIMES_SECONDS = 4 * 2**30, 12
AHEAD = 64
DIGEST_BYTES = 16
DIED = "the process that decoded it died"

Result = TypeVar("Result")


@dataclass(frozen=True)
class Refusal:
    """Why a file was not read.

    Attributes:
        reason: What was wrong.
        is_lasting: Whether the content is at fault, so that another try is of no use before the file changes; False
            where the file could not be reached (no permission, a disk that is gone, a file that went missing).
    """

    reason: str
    is_lasting: bool = True


@dataclass(frozen=True)
class Decoded:
    """A picture as the backbone takes it, and its width and height as it is shown.

    Attributes:
        pixels: of a square, row by row, three bytes each.
        width: of the picture, in pixels.
        height: likewise.
    """

    pixels: bytes
    width: int
    height: int


def digest_of(path: Path) -> bytes:
    """What tells a file's content apart: its BLAKE2b of 16 bytes.

    Raises:
        OSError: the file cannot be read, or is a pipe, a device or the like.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(0, "no regular file")
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=DIGEST_BYTES)).digest()


def decoded(path: Path, side_px: int, resampling: Image.Resampling) -> Decoded:
    """The picture in a file, brought to a square.

    Raises:
        BadPictureError: it cannot be decoded.
    """
    return _decoded(path, side_px, resampling)


def decoded_bytes(content: bytes, side_px: int, resampling: Image.Resampling) -> Decoded:
    """The same of a file's content."""
    try:
        return _decoded(BytesIO(content), side_px, resampling)
    except BadPictureError as error:  # a closed stream cannot be sent back
        raise type(error)(Path("that was sent"), error.reason, error.is_lasting) from None


def _decoded(source: Path | BytesIO, side_px: int, resampling: Image.Resampling) -> Decoded:
    picture, (width, height) = open_sized(source, side_px=side_px, most_bytes=_most_bytes)
    return Decoded(squared(picture, side_px, resampling).tobytes(), width, height)


def thumbnail(path: Path, side_px: int) -> bytes:
    """A picture made to fit into a square, as JPEG.

    Raises:
        BadPictureError: it cannot be decoded.
    """
    (picture, _), content = open_sized(path, side_px=side_px // 2, most_bytes=_most_bytes), BytesIO()
    picture.thumbnail((side_px, side_px))
    picture.save(content, "JPEG", quality=85)
    return content.getvalue()


class Readers:
    """Worker processes, one a core, and one more for large pictures; use as a context manager.

    Args:
        seconds: how long a file may take; then its worker is killed and another one started. Large pictures have
            twelve times as long.
        num_workers: one a core when left out.
    """

    def __init__(self, *, seconds: float = SECONDS_A_FILE, num_workers: int | None = None) -> None:
        self.seconds, self.num_workers = seconds, num_workers or os.cpu_count() or 1
        self._pool = self._new_pool()
        self._large_pool: Workers | None = None
        self._one_at_a_time = Lock()

    def __enter__(self) -> Readers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pool in self._pools():
            pool.finish() if error is None else pool.stop()

    def close(self) -> None:
        """Stop the workers, whatever they are at."""
        for pool in self._pools():
            pool.stop()

    def one(self, read: Callable[[Any], Result], item: Any) -> Result | Refusal:
        """What ``read`` makes of one file or of its content."""
        ahead = deque([self._scheduled(read, item)])
        return self._next(read, ahead)[1]

    def each(self, read: Callable[[Path], Result], paths: Iterable[Path]) -> Iterator[tuple[Path, Result | Refusal]]:
        """What ``read`` makes of each file, in order, up to 64 files ahead of the one in use.

        Args:
            read: a function that other processes can import, or a partial of one.
            paths: the files.
        """
        ahead: deque[tuple[Any, Workers, Future[Any]]] = deque()
        for path in paths:
            ahead.append(self._scheduled(read, path))
            if len(ahead) > AHEAD:
                yield self._next(read, ahead)
        while ahead:
            yield self._next(read, ahead)

    def _pools(self) -> list[Workers]:
        return [pool for pool in (self._pool, self._large_pool) if pool is not None]

    def _new_pool(self) -> Workers:
        return Workers(self.num_workers, _bounded, WORKER_BYTES)

    def _scheduled(self, read: Callable[[Any], Any], item: Any) -> tuple[Any, Workers, Future[Any]]:
        try:
            return item, self._pool, self._pool.schedule(read, item, self.seconds)
        except BrokenProcessPool:
            self._replace(self._pool)
            return item, self._pool, self._pool.schedule(read, item, self.seconds)

    def _next(
        self, read: Callable[[Any], Result], ahead: deque[tuple[Any, Workers, Future[Any]]]
    ) -> tuple[Any, Result | Refusal]:
        """The outcome of the first file; where the pool broke, it is tried once more, by itself, in a new one."""
        item, pool, reading = ahead.popleft()
        try:
            return item, self._outcome(pool, reading, self.seconds)
        except NeedsMemoryError:
            return item, self._large(read, item)
        except BrokenProcessPool:
            self._replace(pool)
        _, pool, again = self._scheduled(read, item)
        try:
            outcome: Result | Refusal = self._outcome(pool, again, self.seconds)
        except NeedsMemoryError:
            outcome = self._large(read, item)
        except BrokenProcessPool:
            self._replace(pool, again=True)
            outcome = Refusal(DIED)
        rest = [item for item, _, _ in ahead]
        ahead.clear()
        ahead.extend(self._scheduled(read, item) for item in rest)
        return item, outcome

    def _large(self, read: Callable[[Any], Result], item: Any) -> Result | Refusal:
        """The outcome of a file that may need more memory than a worker has, in the one that has more."""
        with self._one_at_a_time:
            if self._large_pool is None:
                self._large_pool = Workers(1, _bounded, _large_bytes())
            pool, seconds = self._large_pool, LARGE_TIMES_SECONDS * self.seconds
            try:
                return self._outcome(pool, pool.schedule(read, item, seconds), seconds)
            except NeedsMemoryError as error:
                return Refusal(error.reason)
            except BrokenProcessPool:
                pool.check_started(again=True)
                pool.stop()
                self._large_pool = None
                return Refusal(DIED)

    def _replace(self, broken: Workers, *, again: bool = False) -> None:
        """A new pool in place of one that broke when a worker died before it had said what it was at."""
        broken.check_started(again=again)
        if self._pool is broken:
            broken.stop()
            self._pool = self._new_pool()

    def _outcome(self, pool: Workers, reading: Future[Result], seconds: float) -> Result | Refusal:
        try:
            return pool.outcome(reading)
        except NeedsMemoryError:
            raise
        except BadPictureError as error:
            return Refusal(error.reason, error.is_lasting)
        except TookTooLong:
            return Refusal(f"reading it took more than {seconds:g} seconds")
        except ProcessExpired as error:
            return Refusal(f"{DIED} (exit code {error.exitcode})")
        except BrokenProcessPool:
            raise
        except CancelledError as error:  # the worker of another file died and took the pool with it
            raise BrokenProcessPool(str(error)) from error
        except OSError as error:
            return Refusal(error.strerror or str(error), not is_access(error))
        except MemoryError:
            raise NeedsMemoryError(Path("that was read"), "it needs too much memory to be decoded") from None


_most_bytes: int | None = None  # in a worker, what decoding may take


def _bounded(most_bytes: int) -> None:
    """Keep what a decoder adds to the memory within bounds, on Linux.

    A worker imports the main module of its parent, so it may be large already where that is somebody's own script.
    """
    global _most_bytes
    _most_bytes = most_bytes
    with suppress(ImportError, ValueError, OSError):
        import resource

        at_start = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (at_start + most_bytes, at_start + most_bytes))


def _large_bytes() -> int:
    """What one large picture may take: four gigabytes, or half of the machine's memory where that is less."""
    with suppress(AttributeError, ValueError, OSError):
        return min(LARGE_BYTES, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2)
    return LARGE_BYTES
