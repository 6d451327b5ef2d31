"""Clients that stop in the middle, take nothing or ask too much: each costs itself alone."""

from __future__ import annotations

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from serving import EXPORT, HEAD, HEALTH, Address, rest

pytestmark = pytest.mark.usefixtures("nothing_logged")
BODY = HEAD + b"Content-Length: 300000\r\n\r\n"


def seconds_until_closed(connection: socket.socket) -> float:
    began = time.monotonic()
    rest(connection)
    return time.monotonic() - began


@pytest.mark.parametrize("sent", [b"", b"G", HEALTH[:-2], b"\r\n", HEALTH[:-2] + b"X" * 5000])
def test_a_head_that_does_not_end(hasty: Address, sent: bytes) -> None:
    with hasty.connected(sent) as connection:
        assert hasty.is_well()
        assert seconds_until_closed(connection) < 1.5


def test_a_head_that_trickles(hasty: Address) -> None:
    with hasty.connected() as connection:
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 3:
                connection.sendall(b"G")
                time.sleep(0.1)
        assert time.monotonic() - began < 2


def test_a_connection_is_kept_for_the_next_request(hasty: Address) -> None:
    with hasty.connected() as connection:
        for _ in range(3):
            connection.sendall(HEALTH.replace(b"Connection: close\r\n", b""))
            time.sleep(0.5)  # longer than a head may take
            assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /he")
        assert seconds_until_closed(connection) < 1.5


def test_stalled_bodies_let_others_through(hasty: Address, squares: Path) -> None:
    picture = (squares / "00.png").read_bytes()
    whole = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(picture) + picture
    with ExitStack() as stack:
        stalled = [stack.enter_context(hasty.connected(BODY + b"x")) for _ in range(35)]
        assert hasty.is_well() and b" 200 OK" in hasty.ask(whole)
        assert b" 408 " in stalled[0].recv(100)
        assert b" 408 " in stalled[-1].recv(100)


def test_a_body_that_trickles(hasty: Address) -> None:
    with hasty.connected(BODY) as connection:
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


def test_the_memory_of_all_bodies_is_bounded(hasty: Address) -> None:
    with ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(hasty.connected(BODY + b"x" * 240_000))
        time.sleep(0.1)
        refused = stack.enter_context(hasty.connected(BODY + b"x" * 299_999))
        assert b" 503 " in (answer := refused.recv(1000)) and b"retry-after: 1" in answer
        small = HEAD.replace(b"/tag", b"/search") + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        assert b" 400 " in stack.enter_context(hasty.connected(small)).recv(100)
    time.sleep(0.1)
    with hasty.connected(BODY + b"x" * 300_000) as connection:
        assert b" 400 " in connection.recv(100)


def test_a_body_that_goes_on_behind_its_answer(hasty: Address) -> None:
    with hasty.connected(HEAD.replace(b"localhost", b"evil") + b"Transfer-Encoding: chunked\r\n\r\n") as connection:
        assert b" 403 " in connection.recv(100)
        began = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - began < 3:
                connection.sendall(b"5\r\nabcde\r\n")
                time.sleep(0.05)


def test_connections_that_ask_nothing_give_way(hasty: Address) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(hasty.connected(b"G"))
        assert hasty.is_well()


def test_a_flood_of_connections(hasty: Address) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda _: hasty.connected(HEALTH).close() is None, range(300)))
    assert hasty.is_well()


def test_a_large_answer_arrives_whole(hasty: Address, large: bytes) -> None:
    assert hasty.ask(EXPORT).endswith(large)


def test_clients_that_take_nothing(hasty: Address, large: bytes) -> None:
    with ExitStack() as stack:
        deaf = [stack.enter_context(hasty.connected(EXPORT)) for _ in range(6)]
        time.sleep(0.2)
        assert hasty.is_well()
        assert b" 503 " in hasty.ask(EXPORT)
        time.sleep(0.6)
        assert all(len(rest(connection)) < len(large) for connection in deaf)
    assert hasty.ask(EXPORT).endswith(large)


def test_a_client_that_takes_little(hasty: Address, large: bytes) -> None:
    with hasty.connected(EXPORT) as connection:
        began, taken = time.monotonic(), 0
        while time.monotonic() - began < 1.8:
            taken += len(connection.recv(300_000))
            time.sleep(0.05)
        assert taken + len(rest(connection)) < len(large)


def test_many_requests_at_once_of_one_that_takes_no_answer(hasty: Address) -> None:
    with hasty.connected() as connection:
        connection.settimeout(2)
        began = time.monotonic()
        with pytest.raises(OSError):
            for _ in range(10_000):
                connection.sendall(b"GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 100)
        assert time.monotonic() - began < 8
    assert hasty.is_well()


def test_requests_that_come_together_are_answered_in_turn(hasty: Address) -> None:
    asked = HEALTH.replace(b"Connection: close\r\n", b"") * 5 + HEALTH
    assert hasty.ask(asked).count(b"HTTP/1.1 200 OK") == 6
