"""What is no HTTP, or half of it: each client costs itself alone."""

from __future__ import annotations

import socket
import struct
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import EXPORT, HEAD, HEALTH, Address, rest

pytestmark = pytest.mark.usefixtures("nothing_logged")
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
def test_what_is_no_request_costs_itself_alone(hasty: Address, name: str) -> None:
    with hasty.connected() as connection:
        try:
            connection.sendall(RAW[name])
            connection.settimeout(0.05)
            answer = connection.recv(2000)
        except OSError:
            answer = b""
        assert answer[9:10] in (b"4", b"") or name in HARMLESS
        assert hasty.is_well()
    if answer:
        assert b"cross-origin-resource-policy: same-origin" in answer.lower() and b"\r\n\r\n" in answer


PIECES = [
    b"GET", b"POST", b" ", b"/health", b"/tag", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"Host: localhost\r\n",
    b"Host: evil\r\n", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
    b"Expect: 100-continue\r\n", b"Upgrade: websocket\r\n", b"\r\n", b"\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"\x00",
    b"\xff", b"PRI * HTTP/2.0\r\n\r\nSM", HEALTH, CHUNKED,
]  # fmt: skip


@settings(max_examples=80, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(pieces=st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=20), is_cut=st.booleans())
def test_any_bytes_cost_themselves_alone(hasty: Address, pieces: list[bytes], is_cut: bool) -> None:
    with hasty.connected(b"".join(pieces)) as connection, suppress(OSError):
        if not is_cut:
            connection.settimeout(0.02)
            connection.recv(1000)
    assert hasty.is_well()


def test_garbage_that_comes_later(hasty: Address, large: bytes) -> None:
    slow = HEAD.replace(b"localhost", b"evil") + b"Transfer-Encoding: chunked\r\n\r\n"
    for first in (slow, CHUNKED, EXPORT):
        with hasty.connected(first) as connection:
            time.sleep(0.05)
            connection.sendall(b"zz\r\n\x00")
            rest(connection)
    assert hasty.is_well()


def test_clients_that_hang_up_at_any_moment(hasty: Address, large: bytes, squares: Path) -> None:
    picture = (squares / "00.png").read_bytes()
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(picture) + picture
    for text in (whole, EXPORT, HEALTH * 3):
        for length in (0, 1, 30, len(text) // 2, len(text) - 1, len(text)):
            for is_reset in (True, False):
                connection = hasty.connected(text[:length])
                if is_reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
    assert hasty.is_well()
