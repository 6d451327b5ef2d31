"""Processes that do jobs: what they share, what they do not, and how they end."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from zerotag.harness.jobs import Job, Variant, plan
from zerotag.harness.workers import Workers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker does one job")

PATIENCE_SECONDS = 120.0

Found = TypeVar("Found")


def children(pid: int | str) -> list[int]:
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for threads in found for child in threads.read_text().split()]


def is_gone(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return not status.exists() or "State:\tZ" in status.read_text()


def wait_for(found: Callable[[], list[Found]]) -> list[Found]:
    began = time.monotonic()
    while not (those := found()):
        assert time.monotonic() - began < PATIENCE_SECONDS
        time.sleep(0.05)
    return those


def worker_and_process(bench: int | str, job: Job) -> tuple[int, int]:
    """Who does the job, once it is being trained; what is imported before that may start children too."""

    def found() -> list[tuple[int, int]]:
        if not (job.folder / "log.jsonl").exists():
            return []
        return [(worker, process) for worker in children(bench) for process in children(worker)]

    (pair,) = wait_for(found)
    return pair


@pytest.fixture
def job_of(squares: Path, colour_vectors: Path, tmp_path: Path) -> Callable[[int], Job]:
    def job(epochs: int) -> Job:
        changes = ["backbone.size_px=64", "backbone.pretrained=false", f"vectors.source={colour_vectors}"]
        changes += ["optimiser.batch_size=8", f"optimiser.epochs={epochs}"]
        folder = tmp_path / f"epochs{epochs}"
        return plan(
            str(squares), [Variant.named("labelem")], num_seeds=1, settings=["zsl"], folder=folder, changes=changes
        )[0]

    return job


def test_a_job_that_is_killed_ends_nothing_else(job_of: Callable[[int], Job]) -> None:
    endless, short = job_of(10**6), job_of(1)
    before = set(children("self"))
    with Workers(threads=1) as workers, ThreadPoolExecutor(1) as pool:
        code = pool.submit(workers.do, endless)
        worker, process = worker_and_process("self", endless)
        os.kill(process, signal.SIGKILL)
        assert code.result() == -signal.SIGKILL
        assert workers.do(short) == 0 and short.outcome() is not None
        assert set(children("self")) - before == {worker}
    assert not set(children("self")) - before


def test_a_worker_that_does_not_start_ends_its_job_alone(
    job_of: Callable[[int], Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho no modules here >&2\nexit 3\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))

    def slowly(job: Job) -> str:
        time.sleep(1)  # the worker is gone when it is asked
        return job.method

    monkeypatch.setattr(Job, "to_json", slowly)
    job = job_of(1)
    with Workers(threads=1) as workers:
        assert workers.do(job) == 3 and workers.do(job) == 3
    assert job.log.read_text() == "no modules here\n"


BENCH = """
import pickle, sys
from zerotag.harness.workers import Workers
with Workers(threads=1) as workers:
    workers.do(pickle.load(sys.stdin.buffer))
"""


def test_no_process_is_left_when_the_bench_is_killed(job_of: Callable[[int], Job]) -> None:
    endless = job_of(10**6)
    with subprocess.Popen([sys.executable, "-c", BENCH], stdin=subprocess.PIPE) as bench:
        assert bench.stdin is not None
        try:
            bench.stdin.write(pickle.dumps(endless))
            bench.stdin.close()
            worker, process = worker_and_process(bench.pid, endless)
        finally:
            bench.kill()
    wait_for(lambda: [worker, process] if is_gone(worker) and is_gone(process) else [])
