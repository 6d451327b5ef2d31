"""How worker processes are started: Ctrl-C, which a terminal sends to all processes, reaches their parent alone.

The parent stops its workers. One that Ctrl-C reached while it still imports its modules would print a traceback.
"""

from __future__ import annotations

import signal
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess


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
    """The context to give to a pool of such processes."""

    Process = Worker
