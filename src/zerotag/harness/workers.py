"""Processes in which jobs are done, as many as are asked for at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import ExitStack, suppress
from queue import Empty, SimpleQueue
from types import TracebackType

from zerotag.harness.jobs import Job
from zerotag.storage import full_disk_explained

LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}  # glibc then asks Linux for them


class Workers:
    """Processes of :mod:`zerotag.harness.worker`, started when there is no idle one; leaving the context ends them.

    Args:
        threads: of each job.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._idle: SimpleQueue[subprocess.Popen[str]] = SimpleQueue()
        self._all = ExitStack()

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._all.close()

    def do(self, job: Job) -> int:
        """The exit code of the process that did the job, minus the signal where one ended it; may run in any thread.

        Its messages are in the job's ``log``.
        """
        with full_disk_explained(job.folder):
            job.folder.mkdir(parents=True, exist_ok=True)
            job.log.write_text("")
        try:
            worker = self._idle.get_nowait()
        except Empty:
            worker = self._started(job)
        assert worker.stdin is not None and worker.stdout is not None
        with suppress(BrokenPipeError):
            worker.stdin.write(job.to_json() + "\n")
            worker.stdin.flush()
        if code := worker.stdout.readline():
            self._idle.put(worker)
            return int(code)
        with suppress(BrokenPipeError):  # it may have gone before it was asked
            worker.stdin.close()
        return worker.wait()

    def _started(self, job: Job) -> subprocess.Popen[str]:
        with job.log.open("w") as messages:  # of a worker that does not come as far as the job
            worker = subprocess.Popen(
                [sys.executable, "-m", "zerotag.harness.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=messages,
                env=LARGE_PAGES | os.environ | {"OMP_NUM_THREADS": str(self._threads)},
                text=True,
            )
        return self._all.enter_context(worker)
