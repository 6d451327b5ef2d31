"""Memory that large tensors leave free stays with the process: to ask the system anew in each step takes time."""

from __future__ import annotations

import ctypes
from contextlib import suppress

# parameters of mallopt, from glibc's malloc.h
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
GROWTH_BYTES = 2**29


def keep_freed_memory() -> None:
    """Let glibc serve blocks of all sizes from a heap that grows by half a gigabyte and is never given back.

    Nothing happens where the C library is another one.
    """
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, -1), (M_TOP_PAD, GROWTH_BYTES)):
            mallopt(parameter, value)
