"""Medians of times taken in turn, tables of their ratios, and what a piece of work adds to the memory."""

from __future__ import annotations

import re
import resource
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

ROUNDS = 5


def medians(work: Sequence[Callable[[], object]], rounds: int = ROUNDS) -> list[float]:
    """Median seconds of each piece of work; all are run in turn, so that all see the same machine."""
    seconds: list[list[float]] = [[] for _ in work]
    for number in range(rounds + 1):
        for own, one in zip(seconds, work, strict=True):
            began = time.perf_counter()
            one()
            if number:  # the first round warms up
                own.append(time.perf_counter() - began)
    return [float(np.median(own)) for own in seconds]


def peak_gigabytes() -> float:
    """The most memory that this process ever held; where Linux tells, without what it had of its parent."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) * 1024 / 1e9
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def added_gigabytes(work: Callable[[], object]) -> float:
    """What the work adds to the peak memory of this process; it tells only where nothing larger ran here before."""
    before = peak_gigabytes()
    work()
    return peak_gigabytes() - before


def print_table(title: str, named: str, own: str, rows: Sequence[tuple[str, float, float]]) -> None:
    """Each row: what was done, seconds of the named alternative, own seconds."""
    print(f"{title}; medians, {torch.get_num_threads()} threads, torch {torch.__version__}\n")
    print(f"| case | {named}, ms | {own}, ms | ratio |\n|---|---:|---:|---:|")
    for case, other_seconds, own_seconds in rows:
        print(f"| {case} | {1e3 * other_seconds:.1f} | {1e3 * own_seconds:.1f} | {other_seconds / own_seconds:.2f} |")
