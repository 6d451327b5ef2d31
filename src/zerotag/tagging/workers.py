"""Worker processes: how they are started, and what is said where they cannot be.

Ctrl-C, which a terminal sends to all processes, reaches their parent alone, which stops its workers; one that Ctrl-C
reached while it still imports its modules would print a traceback. A worker imports the main module of its parent. One
that ends meanwhile, as where a script has no main guard, would be replaced for ever.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from concurrent.futures import Future, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import process, resource_tracker, spawn
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.synchronize import Semaphore
from pathlib import Path
from typing import Any, TypeVar

from pebble import ProcessPool

from zerotag.errors import ZerotagError

WITHOUT_GUARD = 64
SECONDS_TO_START = 120.0
TRIES = 2
GUARD = 'put what calls zerotag under: if __name__ == "__main__":'

Result = TypeVar("Result")


class Worker(SpawnProcess):
    """A process that inherits a mask of signals in which Ctrl-C is blocked."""

    def start(self) -> None:
        """Start it."""
        if not hasattr(signal, "pthread_sigmask"):
            super().start()
            return
        resource_tracker.ensure_running()  # which unblocks the signal, where it is started below
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            super().start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class WorkerContext(SpawnContext):
    """The context to give to a pool: it keeps the processes that it made, until one was ready.

    Args:
        most: Number of processes that may be made before one is ready; more are refused.
    """

    def __init__(self, most: int) -> None:
        self.most, self.is_ready = most, False
        self.workers: list[Worker] = []

    def Process(self, **options: Any) -> Worker:  # type: ignore[override]  # noqa: N802 - the name is multiprocessing's
        """A process, not yet started.

        Raises:
            OSError: Too many ended before one was ready.
        """
        if self.is_ready:
            self.workers.clear()
        elif len(self.workers) >= self.most:
            raise OSError("too many workers ended before one was ready")
        self.workers.append(Worker(**options))
        return self.workers[-1]


class Workers:
    """A pool of worker processes.

    Args:
        number: Number of processes.
        prepare: Function that each of them calls first, with ``argument``.
        argument: See ``prepare``.

    Raises:
        ZerotagError: Processes cannot be started on this machine.
    """

    def __init__(self, number: int, prepare: Callable[[int], None], argument: int) -> None:
        _leave_if_run_again()
        _check_startable()
        self._context = WorkerContext(TRIES * number)
        try:
            self._ready: Semaphore = self._context.Semaphore(0)
        except (OSError, ImportError) as error:
            raise _unstartable(error) from error
        self._pool = ProcessPool(
            number, initializer=_begin, initargs=[prepare, argument, self._ready], context=self._context
        )

    @property
    def is_ready(self) -> bool:
        """Whether a worker has come as far as being ready."""
        self._context.is_ready = self._context.is_ready or self._ready.acquire(block=False)
        return self._context.is_ready

    def schedule(self, call: Callable[[Any], Result], item: Any, seconds: float) -> Future[Result]:
        """Have a worker call a function; it is ended where that takes longer than so many seconds.

        Raises:
            BrokenProcessPool: The pool broke before.
            ZerotagError: Processes cannot be started on this machine.
        """
        try:
            return self._pool.schedule(call, args=[item], timeout=seconds)
        except BrokenProcessPool as error:
            raise _unstartable(error.__cause__ or error) from error
        except RuntimeError as error:
            raise BrokenProcessPool(str(error)) from error
        except OSError as error:
            raise _unstartable(error) from error

    def outcome(self, calling: Future[Result]) -> Result:
        """What a call returned.

        Raises:
            ZerotagError: No worker was ready after two minutes.
            Exception: What the call raised.
        """
        if not self.is_ready:
            wait([calling], SECONDS_TO_START)
            if not calling.done() and not self.is_ready:
                raise ZerotagError(
                    f"the worker processes that read pictures were not ready after {SECONDS_TO_START:g} seconds; each "
                    f"of them imports the script that started it, so {GUARD}"
                )
        return calling.result()

    def check_started(self, *, again: bool) -> None:
        """See whether it is of use to start workers again, after the pool broke.

        Args:
            again: Whether workers were started again already.

        Raises:
            ZerotagError: It is not, since workers end before they are ready.
        """
        codes = [worker.exitcode for worker in self._context.workers]
        if not self.is_ready and (again or WITHOUT_GUARD in codes):
            raise _never_ready(codes)

    def finish(self) -> None:
        """End the workers when they have done what was asked for."""
        self._pool.close()
        self._pool.join()

    def stop(self) -> None:
        """End the workers, whatever they are at."""
        self._pool.stop()
        self._pool.join()


def _begin(prepare: Callable[[int], None], argument: int, ready: Semaphore) -> None:
    prepare(argument)
    ready.release()


def _leave_if_run_again() -> None:
    """End a worker that runs its parent's script, and has come to where the parent was when it started the worker."""
    if getattr(process.current_process(), "_inheriting", False):
        sys.stdout.flush()
        os._exit(WITHOUT_GUARD)


def _check_startable() -> None:
    """See that a worker can start Python and import the main module."""
    python = os.fsdecode(spawn.get_executable() or "")
    if shutil.which(python) is None:
        raise _unstartable(FileNotFoundError(0, f"there is no Python at '{python}'"))
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if getattr(main, "__spec__", None) is None and file is not None and not Path(file).is_file():
        raise ZerotagError(
            f"each worker process that reads pictures imports the script that started it, and {file} is no file; save "
            "the script into one"
        )


def _never_ready(codes: list[int | None]) -> ZerotagError:
    if WITHOUT_GUARD in codes:
        return ZerotagError(
            "each worker process that reads pictures imports the script that started it, and this script calls zerotag "
            f"when it is imported; {GUARD}"
        )
    ends = sorted({_in_words(code) for code in codes if code is not None})
    return ZerotagError(
        f"the worker processes that read pictures ended before they were ready ({', '.join(ends) or 'without a reason'}"
        f"); what they printed tells why. Each of them imports the script that started it, so {GUARD}"
    )


def _in_words(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"killed by signal {-code}, as where memory is short"


def _unstartable(error: BaseException) -> ZerotagError:
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return ZerotagError(
        f"the worker processes that read pictures cannot be started ({reason}); close other programs, and see that "
        "memory, processes and open files are not limited to fewer than they need"
    )
