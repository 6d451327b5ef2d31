"""Main memory of this process: how it is asked for, and how much it came to."""

from __future__ import annotations

import ctypes
import mmap
import re
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# parameters of mallopt, from glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
GROWTH_BYTES = 2**29


def keep_freed_memory() -> None:
    """Let glibc serve blocks of all sizes from a heap that grows by half a gigabyte and is never given back.

    What large tensors leave free stays with the process: to ask the system anew in each step takes time. Nothing
    happens where the C library is another one.
    """
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, GROWTH_BYTES)):
            mallopt(parameter, value)


class PeakMemory:
    """The most memory that the process held at once while the context was open, looked at 20 times a second.

    Attributes:
        num_bytes: of its own; pages of files that are mapped, such as feature maps, do not count. None where the
            system does not tell.
    """

    num_bytes: int | None = None

    def __enter__(self) -> PeakMemory:
        self._closed = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        self._watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._closed.set()
        self._watch.join()

    def _look(self) -> None:
        while True:
            with suppress(OSError):
                if found := re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text()):
                    self.num_bytes = max(self.num_bytes or 0, 1024 * int(found[1]))
            if self._closed.wait(0.05):
                return


def forget_pages(*arrays: np.ndarray) -> None:
    """Give back the pages of arrays that are mapped read-only from a file; they are read again when needed."""
    import numpy as np

    for array in arrays:
        if isinstance(array, np.memmap) and array.mode == "r":
            base: Any = array
            while isinstance(base, np.ndarray):
                base = base.base
            with suppress(AttributeError):  # a system that has no such advice
                base.madvise(mmap.MADV_DONTNEED)
