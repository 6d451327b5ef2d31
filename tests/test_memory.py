from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from zerotag.memory import keep_freed_memory

PROGRAM = """
import resource
from zerotag.memory import keep_freed_memory

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
