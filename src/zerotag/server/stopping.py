"""Serving, until a signal ends it: within five seconds, whatever is at work."""

from __future__ import annotations

import os
import socket
import sys
import threading
from multiprocessing import active_children
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from zerotag.server.connections import ACCEPTED_AT_ONCE, SECONDS_KEPT, Connection, most_connections
from zerotag.server.users import Users

SECONDS_TO_FINISH = 3
SECONDS_TO_STOP = 5


def serve(app: ASGIApp, listening: socket.socket, *, any_user: bool = False) -> None:
    """Serve until the process is told to stop.

    Requests that are being answered have three seconds more; then they are answered 503. Two seconds later the process
    ends, even where a thread is at work or waits for a locked catalogue: a catalogue is whole whenever that happens.

    Args:
        app: What answers.
        listening: Socket that clients connect to.
        any_user: Whether other users of this machine may ask.
    """

    class Accepted(Connection):
        most = most_connections()
        users = None if any_user else Users(listening.getsockname())

    config = uvicorn.Config(
        app,
        http=Accepted,
        ws="none",
        loop="asyncio",
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        backlog=ACCEPTED_AT_ONCE,
        timeout_keep_alive=SECONDS_KEPT,
        timeout_graceful_shutdown=SECONDS_TO_FINISH,
    )
    _Server(config).run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that does not wait for threads when it is stopped."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop, and be gone in time."""
        if not self.should_exit:
            end = threading.Timer(SECONDS_TO_STOP, _gone, [128 + sig])
            end.daemon = True
            end.start()
        super().handle_exit(sig, frame)


def _gone(status: int) -> None:
    for process in active_children():
        process.kill()
    sys.stderr.flush()
    os._exit(status)
