"""Connections that cost themselves alone: a client that sends or takes nothing is given up, and there are not too many.

uvicorn ends a connection that is idle behind an answer, and no other.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import h11
from starlette.responses import JSONResponse
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.h11_impl import H11Protocol

from zerotag.server.answers import RETRY, as_bytes, problem
from zerotag.server.users import Users

SECONDS_FOR_A_HEAD = 10.0
SECONDS_KEPT = 20
SECONDS_FOR_A_PIECE = 20.0
SECONDS_FOR_AN_ANSWER = 300.0
MOST_CONNECTIONS = 256
ACCEPTED_AT_ONCE = 64


def most_connections() -> int:
    """Number of connections: 256, or a half of the files that this process may open where that is less."""
    with suppress(ImportError):
        import resource

        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return MOST_CONNECTIONS if files < 0 else max(1, min(MOST_CONNECTIONS, files // 2))
    return MOST_CONNECTIONS


class OneRequest(FlowControl):
    """Reads no further than the request that is being answered; uvicorn would read on, without an end, while it waits.

    Args:
        transport: Transport to read from.
        conn: State of the connection.
    """

    def __init__(self, transport: asyncio.Transport, conn: h11.Connection) -> None:
        super().__init__(transport)
        self._conn = conn

    def resume_reading(self) -> None:
        """Read on, if the request is not whole."""
        if self._conn.their_state is not h11.DONE:
            super().resume_reading()


class Connection(H11Protocol):
    """A connection, with an end to all that it may wait for.

    A head has ten seconds, from the first moment or, behind an answer, from its first byte; what is left of a body
    that was answered before it was whole likewise. What was sent has to be taken within twenty seconds a piece.

    One connection too many takes the place of that which has asked nothing for the longest time.

    Attributes:
        users: Whose connections are read; everybody's where it is None.
    """

    seconds_for_a_head = SECONDS_FOR_A_HEAD
    seconds_for_a_piece = SECONDS_FOR_A_PIECE
    seconds_for_an_answer = SECONDS_FOR_AN_ANSWER
    most = MOST_CONNECTIONS
    users: Users | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.idle_since = self.loop.time()
        self._ends: dict[str, asyncio.TimerHandle] = {}

    @property
    def is_busy(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        """Begin to wait for a head."""
        super().connection_made(transport)
        self.flow = OneRequest(transport, self.conn)
        transport.set_write_buffer_limits(high=0)  # so that what waits to be taken is always known of
        self._end_in("head", self.seconds_for_a_head)
        if self._is_of_another_user():
            self._turn_away(problem(403, "this server answers the user who started it alone; see zerotag serve --help"))
        elif len(self.connections) > self.most:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop all clocks."""
        super().connection_lost(exc)
        for name in list(self._ends):
            self._go_on(name)

    def handle_events(self) -> None:
        """Read on; where no request comes of it, the head has its time."""
        super().handle_events()
        if self.is_busy:
            self._go_on("head")
        elif self.timeout_keep_alive_task is None:
            self._end_in("head", self.seconds_for_a_head)

    def on_response_complete(self) -> None:
        """Begin to be idle."""
        self.idle_since = self.loop.time()
        self._go_on("answer")
        super().on_response_complete()
        self.flow.resume_reading()

    def pause_writing(self) -> None:
        """Begin to wait for the client to take what was sent."""
        super().pause_writing()
        self._end_in("piece", self.seconds_for_a_piece)
        if self.is_busy:
            self._end_in("answer", self.seconds_for_an_answer)

    def resume_writing(self) -> None:
        """All was taken."""
        super().resume_writing()
        self._go_on("piece")

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection, whatever state its last request left it in."""
        self.transport.abort()

    def shutdown(self) -> None:
        """End when what is being answered is, or now."""
        if self.is_busy:
            self.cycle.keep_alive = False
        else:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP, unless an answer to what came before it has begun."""
        if self.is_busy:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            self._turn_away(problem(400, "this is no request of HTTP/1.1"))
        else:
            self.transport.close()

    def _should_upgrade(self) -> bool:
        return False

    def _make_room(self) -> None:
        others = [one for one in self.connections if isinstance(one, Connection) and one is not self]
        idle = [one for one in others if not one.is_busy]
        if idle:
            longest = min(idle, key=lambda one: one.idle_since)
            self.connections.discard(longest)
            longest.transport.abort()
        else:
            self._turn_away(problem(503, "too many connections; ask again in a moment", RETRY))

    def _is_of_another_user(self) -> bool:
        if self.users is None or self.client is None or self.server is None:
            return False
        return not self.users.may_ask(self.client, (self.server[0], self.server[1] or 0))

    def _turn_away(self, answer: JSONResponse) -> None:
        self.transport.write(as_bytes(answer))
        self.transport.close()

    def _end_in(self, name: str, seconds: float) -> None:
        """Give the connection up after a time, unless it goes on; a clock that runs already runs on."""
        if name not in self._ends:
            self._ends[name] = self.loop.call_later(seconds, self.transport.abort)

    def _go_on(self, name: str) -> None:
        if (end := self._ends.pop(name, None)) is not None:
            end.cancel()
