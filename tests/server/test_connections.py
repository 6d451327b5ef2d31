"""Clients that stop in the middle, take nothing or send what is no HTTP: each costs itself alone."""

from __future__ import annotations

import logging
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from serving import HEALTH, Address, rest, served

from zerotag.server.app import create_app
from zerotag.server.bodies import Bodies
from zerotag.server.connections import Connection
from zerotag.server.service import Service
from zerotag.tagging.tagger import Tagger

HEAD = b"POST /tag HTTP/1.1\r\nHost: localhost\r\n"
BODY = HEAD + b"Content-Length: 300000\r\n\r\n"


class Hasty(Connection):
    seconds_for_a_head = 0.4
    seconds_for_a_piece = 0.4
    seconds_for_an_answer = 1.5
    most = 40


@pytest.fixture(scope="module")
def service(toy_run: Path) -> Iterator[Service]:
    service = Service(str(toy_run), Tagger.load(toy_run))
    yield service
    service.close()


@pytest.fixture(scope="module")
def address(service: Service) -> Iterator[Address]:
    bodies = Bodies(max_bytes=400_000, max_bytes_in_all=1_000_000, max_waiting=20, seconds=0.4, seconds_in_all=0.8)
    with served(create_app(service, bodies=bodies), Hasty) as address:
        yield address


@pytest.fixture(autouse=True)
def nothing_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No client is worth more than a line, and none a traceback."""
    yield
    records = caplog.get_records("call")
    assert [r.getMessage() for r in records if r.exc_info or r.levelno > logging.WARNING] == []


def seconds_until_closed(connection: socket.socket) -> float:
    began = time.monotonic()
    rest(connection)
    return time.monotonic() - began


@pytest.mark.parametrize("sent", [b"", b"G", HEALTH[:-2], b"\r\n", HEALTH[:-2] + b"X" * 5000])
def test_a_head_that_does_not_end(address: Address, sent: bytes) -> None:
    with address.connected(sent) as connection:
        assert address.is_well()
        assert seconds_until_closed(connection) < 1.5


def test_a_head_that_trickles(address: Address) -> None:
    with address.connected() as connection:
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 3:
                connection.sendall(b"G")
                time.sleep(0.1)
        assert time.monotonic() - began < 2


def test_a_connection_is_kept_for_the_next_request(address: Address) -> None:
    with address.connected() as connection:
        for _ in range(3):
            connection.sendall(HEALTH.replace(b"Connection: close\r\n", b""))
            time.sleep(0.5)  # longer than a head may take
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /he")
        assert seconds_until_closed(connection) < 1.5


def test_stalled_bodies_let_others_through(address: Address, squares: Path) -> None:
    picture = (squares / "00.png").read_bytes()
    whole = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(picture) + picture
    with ExitStack() as stack:
        stalled = [stack.enter_context(address.connected(BODY + b"x")) for _ in range(35)]
        assert address.is_well() and b" 200 OK" in address.ask(whole)
        assert b" 408 " in stalled[0].recv(100)
        assert b" 408 " in stalled[-1].recv(100)


def test_a_body_that_trickles(address: Address) -> None:
    with address.connected(BODY) as connection:
        began = time.monotonic()
        connection.settimeout(0.1)
        answer = b""
        while not answer and time.monotonic() - began < 3:
            connection.sendall(b"x")
            try:
                answer = connection.recv(100)
            except TimeoutError:
                continue
        assert b" 408 " in answer and time.monotonic() - began < 1.6


def test_the_memory_of_all_bodies_is_bounded(address: Address) -> None:
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(address.connected(BODY + b"x" * 240_000))
        time.sleep(0.1)
        refused = stack.enter_context(address.connected(BODY + b"x" * 299_999))
        assert b" 503 " in (answer := refused.recv(1000)) and b"retry-after: 1" in answer
        small = HEAD.replace(b"/tag", b"/search") + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        assert b" 400 " in stack.enter_context(address.connected(small)).recv(100)
    time.sleep(0.1)
    with address.connected(BODY + b"x" * 300_000) as connection:
        assert b" 400 " in connection.recv(100)


def test_a_body_that_goes_on_behind_its_answer(address: Address) -> None:
    with address.connected(HEAD.replace(b"localhost", b"evil") + b"Transfer-Encoding: chunked\r\n\r\n") as connection:
        assert b" 403 " in connection.recv(100)
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 3:
                connection.sendall(b"5\r\nabcde\r\n")
                time.sleep(0.05)


def test_connections_that_ask_nothing_give_way(address: Address) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(address.connected(b"G"))
        assert address.is_well()


def test_a_flood_of_connections(address: Address) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda _: address.connected(HEALTH).close() is None, range(300)))
    assert address.is_well()


@pytest.fixture
def large(service: Service, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """An answer that no buffer of the system holds."""
    content = bytes(30 * 2**20)
    monkeypatch.setattr(Service, "exported", lambda *_: content)
    return content


EXPORT = b"GET /export HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def test_a_large_answer_arrives_whole(address: Address, large: bytes) -> None:
    assert address.ask(EXPORT).endswith(large)


def test_clients_that_take_nothing(address: Address, large: bytes) -> None:
    with ExitStack() as stack:
        deaf = [stack.enter_context(address.connected(EXPORT)) for _ in range(6)]
        time.sleep(0.2)
        assert address.is_well()
        assert b" 503 " in address.ask(EXPORT)
        time.sleep(0.6)
        assert all(len(rest(connection)) < len(large) for connection in deaf)
    assert address.ask(EXPORT).endswith(large)


def test_a_client_that_takes_little(address: Address, large: bytes) -> None:
    with address.connected(EXPORT) as connection:
        began, taken = time.monotonic(), 0
        while time.monotonic() - began < 1.8:
            taken += len(connection.recv(300_000))
            time.sleep(0.05)
        assert taken + len(rest(connection)) < len(large)


def test_many_requests_at_once_of_one_that_takes_no_answer(address: Address) -> None:
    with address.connected() as connection:
        connection.settimeout(2)
        began = time.monotonic()
        with pytest.raises(OSError):
            for _ in range(10_000):
                connection.sendall(b"GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        assert time.monotonic() - began < 8
    assert address.is_well()


def test_requests_that_come_together_are_answered_in_turn(address: Address) -> None:
    asked = HEALTH.replace(b"Connection: close\r\n", b"") * 5 + HEALTH
    assert address.ask(asked).count(b"HTTP/1.1 200 OK") == 6


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
RAW = {
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    "http2 upgrade": HEALTH.replace(b"close", b"Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA"),
    "websocket": HEALTH.replace(b"close", b"Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA=="),
    "nulls": bytes(5000),
    "nulls in a head": b"GET /\x00 HTTP/1.1\r\nHost: localhost\x00\r\n\r\n",
    "a large header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 2**20 + b"\r\n\r\n",
    "a long path": b"GET /" + b"x" * 2**20 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
    "chunk extensions": CHUNKED + b"5;" + b"x" * 2**20 + b"\r\nabcde\r\n0\r\n\r\n",
    "a size that is none": CHUNKED + b"zz\r\n",
    "a size without end": CHUNKED + b"f" * 10_000,
    "a negative size": CHUNKED + b"-5\r\nabcde\r\n",
    "trailers": CHUNKED + b"0\r\n" + b"X: y\r\n" * 100_000,
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
    "length and chunks": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "no host, old": b"GET /health HTTP/1.0\r\n\r\n",
    "another host in the target": b"GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no target": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "star": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "http 0.9": b"GET /health\r\n",
    "an expectation": HEAD + b"Expect: something\r\nContent-Length: 3\r\n\r\nabc",
    "folded": b"GET /health HTTP/1.1\r\nHost: localhost\r\n evil\r\n\r\n",
    "bare newlines": b"GET /health HTTP/1.1\nHost: evil\n\n",
    "a space before the colon": b"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "odd bytes": b"GET /\xff\xfe HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "garbage behind an answer": HEAD.replace(b"localhost", b"evil") + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "garbage behind a request": HEALTH + b"\x00\x01\x02",
}


HARMLESS = ("http2 upgrade", "websocket", "garbage behind a request", "many headers")


@pytest.mark.parametrize("name", RAW)
def test_what_is_no_request_costs_itself_alone(address: Address, name: str) -> None:
    with address.connected() as connection:
        try:
            connection.sendall(RAW[name])
            connection.settimeout(0.05)
            answer = connection.recv(2000)
        except OSError:
            answer = b""
        assert answer[9:10] in (b"4", b"") or name in HARMLESS
        assert address.is_well()
    if answer:
        assert b"cross-origin-resource-policy: same-origin" in answer.lower() and b"\r\n\r\n" in answer


def test_garbage_that_comes_later(address: Address, large: bytes) -> None:
    slow = HEAD.replace(b"localhost", b"evil") + b"Transfer-Encoding: chunked\r\n\r\n"
    for first in (slow, CHUNKED, EXPORT):
        with address.connected(first) as connection:
            time.sleep(0.05)
            connection.sendall(b"zz\r\n\x00")
            rest(connection)
    assert address.is_well()


def test_clients_that_hang_up_at_any_moment(address: Address, large: bytes, squares: Path) -> None:
    picture = (squares / "00.png").read_bytes()
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(picture) + picture
    for text in (whole, EXPORT, HEALTH * 3):
        for length in (0, 1, 30, len(text) // 2, len(text) - 1, len(text)):
            for is_reset in (True, False):
                connection = address.connected(text[:length])
                if is_reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
    assert address.is_well()
