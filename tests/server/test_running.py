"""The server as a process: clients that are slow, hang up or speak oddly, and how it stops."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVE = "import sys; from zerotag.cli import main; sys.argv[0] = 'zerotag'; main()"


class Server:
    """A server for a folder, as the command starts it."""

    def __init__(self, folder: Path, log: Path) -> None:
        words = [sys.executable, "-c", SERVE, "serve", str(folder), "--port", "0"]
        self.log = log
        with log.open("w") as errors:
            self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert self.process.stdout is not None
        self.port = int(re.findall(r":(\d+)", self.process.stdout.readline())[0])
        assert b"ok" in self.ask(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")

    def connected(self, text: bytes) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(text)
        return connection

    def ask(self, text: bytes) -> bytes:
        """All that is answered until the server closes the connection."""
        with self.connected(text) as connection:
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
        return answer


@pytest.fixture
def server(library: Path, tmp_path: Path) -> Iterator[Server]:
    server = Server(library, tmp_path / "log")
    yield server
    server.process.kill()
    server.process.wait(20)
    assert server.process.stdout is not None
    server.process.stdout.close()


def test_odd_clients_leave_nothing_in_the_log(server: Server, library: Path) -> None:
    for path in (b"/tag", b"/search", b"/explain?label=red"):
        head = b"POST " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        server.connected(head + b"Content-Length: 5000000\r\n\r\nxx").close()
        server.connected(head + b"Transfer-Encoding: chunked\r\n\r\n5\r\nxx").close()
    picture = (library / "00.png").read_bytes()
    length = b"Content-Length: %d\r\nConnection: close\r\n" % len(picture)
    server.connected(b"POST /tag HTTP/1.1\r\nHost: 127.0.0.1\r\n" + length + b"\r\n" + picture).close()

    chunk = b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n%x\r\n" % len(picture) + picture + b"\r\n0\r\n\r\n"
    waits = b"Expect: 100-continue\r\n" + length + b"\r\n" + picture
    asked = {
        b"POST /tag HTTP/1.1\r\nHost: LOCALHOST.\r\n" + chunk: b" 200 OK",
        b"POST /tag HTTP/1.1\r\nHost: localhost\r\n" + waits: b" 100 ",
        b"POST /tag HTTP/1.0\r\nHost: localhost\r\n" + length + b"\r\n" + picture: b" 200 OK",
        b"GET /health HTTP/1.0\r\n\r\n": b" 403 ",
        b"HEAD /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n": b" 200 OK",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc": b" 200 OK",
        b"GET /picture/%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n": b" 400 ",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nOrigin: http://[\r\nConnection: close\r\n\r\n": b" 403 ",
    }
    for text, status in asked.items():
        assert status in server.ask(text).split(b"\r\n")[0], text[:40]
    assert b"\r\n\r\n" in server.ask(list(asked)[4]) and server.ask(list(asked)[4]).endswith(b"\r\n\r\n")
    server.process.send_signal(signal.SIGTERM)
    server.process.wait(20)
    assert server.log.read_text() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_client_that_never_sends_the_rest_does_not_keep_it_from_stopping(
    server: Server, number: signal.Signals
) -> None:
    with server.connected(b"POST /tag HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nx"):
        time.sleep(0.3)
        server.process.send_signal(number)
        server.process.wait(15)
    assert "Traceback" not in server.log.read_text() and "1 running task" in server.log.read_text()
