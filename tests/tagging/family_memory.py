"""The memory of this process and its workers, watched while something runs."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SECONDS_BETWEEN = 0.02


class Watched:
    """Most bytes so far: what this process has more than at first, and what all its workers had at their worst."""

    def __init__(self) -> None:
        self.at_first = _field(Path("/proc/self"), "VmRSS")
        self.extra_bytes = 0

    def look(self) -> None:
        own = _field(Path("/proc/self"), "VmRSS") - self.at_first
        workers = (
            _field(process, "VmHWM")
            for process in Path("/proc").glob("[0-9]*")
            if _field(process, "PPid", unit=1) == os.getpid() and _is_a_program_of_its_own(process)
        )
        self.extra_bytes = max(self.extra_bytes, own + sum(workers))


@contextmanager
def watched() -> Iterator[Watched]:
    """Look many times a second; Linux alone tells."""
    memory, done = Watched(), threading.Event()

    def look_again() -> None:
        while not done.wait(SECONDS_BETWEEN):
            memory.look()

    thread = threading.Thread(target=look_again, daemon=True)
    thread.start()
    try:
        yield memory
    finally:
        done.set()
        thread.join()


def _is_a_program_of_its_own(process: Path) -> bool:
    """A worker just forked is a picture of this process, memory and all, until it starts its own program."""
    with suppress(OSError):
        return (process / "cmdline").read_bytes() != Path("/proc/self/cmdline").read_bytes()
    return False


def _field(process: Path, name: str, unit: int = 1024) -> int:
    with suppress(OSError, ProcessLookupError):
        if found := re.search(rf"^{name}:\s+(\d+)", (process / "status").read_text(), re.MULTILINE):
            return unit * int(found[1])
    return 0
