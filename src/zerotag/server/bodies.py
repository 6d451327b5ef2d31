"""Bodies as they come in: each has its time, and all together have a bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.responses import JSONResponse
from starlette.types import Receive

from zerotag.server.answers import RETRY, problem

MAX_BODY_BYTES = 64 * 2**20
MAX_BYTES_IN_ALL = 4 * MAX_BODY_BYTES
SMALL_BYTES = 64 * 1024
MAX_WAITING = 128
SECONDS_WITHOUT_A_BYTE = 10.0
SECONDS_IN_ALL = 60.0
SECONDS_UNDISTURBED = 5.0


class HungUpError(Exception):
    """The client closed the connection before it had sent the whole body."""


@dataclass
class Counted:
    """How many bytes of a body count towards the memory of all."""

    size: int = 0


class Bodies:
    """The bodies of all requests that are not answered yet.

    One that waits takes no place from those that are in work. Where too many wait, the one that began first is given
    up, which is a client that stopped in the middle, so new ones are always heard. The first 64 KiB of a body do not
    count towards the memory of all: words can be sent and searched for while pictures fill it.

    Args:
        max_bytes: Size of the largest body.
        max_bytes_in_all: Memory of all bodies that wait or are in work.
        max_waiting: Number of bodies that wait.
        seconds: Time that a client may let pass without sending a byte.
        seconds_in_all: Time that a client has for a whole body.
    """

    def __init__(
        self,
        max_bytes: int = MAX_BODY_BYTES,
        max_bytes_in_all: int = MAX_BYTES_IN_ALL,
        max_waiting: int = MAX_WAITING,
        seconds: float = SECONDS_WITHOUT_A_BYTE,
        seconds_in_all: float = SECONDS_IN_ALL,
    ) -> None:
        self.max_bytes, self.max_bytes_in_all, self.max_waiting = max_bytes, max_bytes_in_all, max_waiting
        self.seconds, self.seconds_in_all = seconds, seconds_in_all
        self.in_use = 0
        self._waiting: dict[asyncio.Timeout, float] = {}

    @asynccontextmanager
    async def received(self, receive: Receive) -> AsyncIterator[bytes | JSONResponse]:
        """A body, or the answer that says why it was not read to its end; it counts until the request is over.

        Raises:
            HungUpError: The client closed the connection.
        """
        counted = Counted()
        try:
            yield await self._in_time(receive, counted)
        finally:
            self.in_use -= counted.size

    def too_large(self) -> JSONResponse:
        """The answer to a body that is too large."""
        return problem(413, f"a body may have {self.max_bytes:,} bytes")

    async def _in_time(self, receive: Receive, counted: Counted) -> bytes | JSONResponse:
        try:
            async with asyncio.timeout(self.seconds_in_all) as until:
                self._make_place()
                self._waiting[until] = asyncio.get_running_loop().time()
                return await self._whole(receive, counted)
        except TimeoutError:
            times = f"{self.seconds:g} seconds without a byte, and {self.seconds_in_all:g} for all of it"
            return problem(408, f"the body did not come in time ({times} at most); send it again")
        finally:
            self._waiting.pop(until, None)

    async def _whole(self, receive: Receive, counted: Counted) -> bytes | JSONResponse:
        pieces, size, is_more = [], 0, True
        while is_more:
            message = await asyncio.wait_for(receive(), self.seconds)
            if message["type"] == "http.disconnect":
                raise HungUpError
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > self.max_bytes:
                return self.too_large()
            if not self._has_room(counted, max(0, size - SMALL_BYTES)):
                return problem(503, "too many large bodies at once; send it again in a moment", RETRY)
            is_more = message.get("more_body", False)
        return b"".join(pieces)

    def _has_room(self, counted: Counted, size: int) -> bool:
        if self.in_use + size - counted.size > self.max_bytes_in_all:
            began = next(iter(self._waiting.values()))
            if asyncio.get_running_loop().time() - began > SECONDS_UNDISTURBED:
                self._give_up_the_first()
            return False
        self.in_use += size - counted.size
        counted.size = size
        return True

    def _make_place(self) -> None:
        if len(self._waiting) >= self.max_waiting:
            self._give_up_the_first()

    def _give_up_the_first(self) -> None:
        first = next(iter(self._waiting))
        del self._waiting[first]
        first.reschedule(asyncio.get_running_loop().time())
