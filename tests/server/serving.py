"""Servers that listen, to be spoken to byte by byte."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

from zerotag.server.connections import Connection


class Address:
    """A port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connected(self, text: bytes = b"") -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        connection.sendall(text)
        return connection

    def ask(self, text: bytes) -> bytes:
        """All that is answered until the server closes the connection."""
        with self.connected(text) as connection:
            return rest(connection)

    def is_well(self) -> bool:
        return self.ask(HEALTH).startswith(b"HTTP/1.1 200 OK")


HEAD = b"POST /tag HTTP/1.1\r\nHost: localhost\r\n"
EXPORT = b"GET /export HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def rest(connection: socket.socket) -> bytes:
    """What is still sent until the server closes the connection, also where it closes it with a reset."""
    answer = bytearray()
    with suppress(ConnectionResetError):
        while piece := connection.recv(2**20):
            answer += piece
    return bytes(answer)


@contextmanager
def served(app: ASGIApp, protocol: type[Connection]) -> Iterator[Address]:
    """A server in a thread."""
    listening = socket.create_server(("127.0.0.1", 0))
    options = {"http": protocol, "ws": "none", "loop": "asyncio", "lifespan": "off", "timeout_graceful_shutdown": 1}
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, **options))  # type: ignore[arg-type]  # of many types
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield Address(listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(10)
    assert not thread.is_alive()
