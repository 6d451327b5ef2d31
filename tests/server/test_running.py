"""The server as a process: clients that are slow, hang up or speak oddly, and how it stops."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from serving import Address

from zerotag.server.stopping import SECONDS_TO_STOP
from zerotag.tagging.catalogue import catalogue_of

PICTURES = b"GET /pictures?number=1 HTTP/1.0\r\nHost: localhost\r\n\r\n"
SERVE = "import sys; from zerotag.cli import main; sys.argv[0] = 'zerotag'; main()"


class Server(Address):
    """A server for a folder, as the command starts it."""

    def __init__(self, folder: Path, log: Path) -> None:
        words = [sys.executable, "-c", SERVE, "serve", str(folder), "--port", "0"]
        self.log = log
        with log.open("w") as errors:
            self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert self.process.stdout is not None
        super().__init__(int(re.findall(r":(\d+)", self.process.stdout.readline())[0]))
        assert b"ok" in self.ask(b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n")


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
def test_nothing_keeps_it_from_stopping_in_time(server: Server, library: Path, number: signal.Signals) -> None:
    name = json.loads(server.ask(PICTURES).split(b"\r\n\r\n")[1])["pictures"][0]["digest"]
    said = json.dumps({"digest": name, "label": "red", "accepted": True}).encode()
    verdict = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(said) + said
    locking = sqlite3.connect(catalogue_of(library))
    locking.execute("BEGIN EXCLUSIVE")
    post = b"POST /%s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    waiting = [post % b"tag" + b"Content-Length: 1000\r\n\r\nx"] * 64 + [b"GET / HT", b"", post % b"verdict" + verdict]
    with ExitStack() as stack:
        clients = [stack.enter_context(server.connected(text)) for text in waiting]
        time.sleep(0.3)
        server.process.send_signal(number)
        began = time.monotonic()
        assert server.process.wait(15) in (-signal.SIGTERM, 130, 143)
        assert time.monotonic() - began < SECONDS_TO_STOP + 1
        assert b" 503 " in clients[0].recv(100) and b" 503 " in clients[-1].recv(100)
    locking.close()
    assert "Traceback" not in server.log.read_text() and "65 running task" in server.log.read_text()
