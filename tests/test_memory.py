from __future__ import annotations

import ctypes
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zerotag.memory import forget_pages, keep_freed_memory

PROGRAM = """
import resource
from zerotag.memory import forget_pages, keep_freed_memory

if {kept}:
    keep_freed_memory()
b"x" * 80_000_000
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
b"x" * 80_000_000
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults_of_a_second_block(kept: bool) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(kept=kept)], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_a_block_that_was_freed_is_used_again() -> None:
    assert page_faults_of_a_second_block(kept=True) < 100 < page_faults_of_a_second_block(kept=False)


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    keep_freed_memory()


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
def test_pages_of_a_mapped_file_are_given_back_and_read_again(tmp_path: Path) -> None:
    def resident() -> int:
        (line,) = (s for s in Path("/proc/self/status").read_text().splitlines() if s.startswith("RssFile"))
        return 1024 * int(line.split()[1])

    np.save(tmp_path / "ones.npy", np.ones((1000, 10_000), np.float32))
    mapped = np.load(tmp_path / "ones.npy", mmap_mode="r")
    assert mapped.sum() == 1e7
    held = resident()
    forget_pages(mapped[:, 5:], np.ones(3))
    assert held - resident() > 30_000_000
    assert mapped.sum() == 1e7


def test_pages_that_may_hold_changes_are_kept(tmp_path: Path) -> None:
    np.save(tmp_path / "ones.npy", np.ones(10_000))
    mapped = np.load(tmp_path / "ones.npy", mmap_mode="c")
    mapped[:] = 2
    forget_pages(mapped)
    assert mapped.sum() == 20_000
