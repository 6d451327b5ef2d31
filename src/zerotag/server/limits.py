"""What a request may be: from this machine's own pages, whole, small enough, and not one too many."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zerotag.server.answers import RETRY, Answer, LargeAnswers, problem
from zerotag.server.bodies import Bodies, HungUpError
from zerotag.server.origins import LOOPBACK, header_twice, why_not

MAX_AT_ONCE = 64
LENGTH = re.compile(r"[0-9]{1,18}")
log = logging.getLogger(__name__)


class Limits:
    """Middleware that answers what the application is not asked: foreign pages, and bodies too large, odd or slow.

    A body is refused by its announced length before a byte is read, else counted as it comes, and handed on whole.
    A request takes one of the places once its body is there, and gives it back when its answer is ready to be sent.
    ``HEAD`` is answered as ``GET`` without a body.

    Args:
        app: Application to ask when all is well.
        hosts: Names of this server, without port.
        bodies: Bodies that wait; with the limits of :class:`Bodies` when left out.
        max_at_once: Number of requests in work; one more is answered 503.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Sequence[str] = LOOPBACK,
        bodies: Bodies | None = None,
        max_at_once: int = MAX_AT_ONCE,
    ) -> None:
        self.app, self.hosts, self.bodies = app, frozenset(hosts), bodies or Bodies()
        self.max_at_once, self.at_once, self._large = max_at_once, 0, LargeAnswers()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = Answer(send, scope.get("method") == "HEAD", self._large)

        async def answered(instead: JSONResponse) -> None:
            if not answer.has_begun:
                await instead(scope, receive, answer)

        try:
            if (refusal := self._refusal(scope)) is not None:
                await answered(refusal)
                return
            async with self.bodies.received(receive) as body:
                if isinstance(body, JSONResponse):
                    await answered(body)
                elif (busy := self._busy()) is not None:
                    await answered(busy)
                else:
                    await self._asked(scope, _replayed(body, receive), answer)
        except HungUpError:
            pass
        except asyncio.CancelledError:  # the server stops, and nobody waits for this task's outcome
            await answered(problem(503, "the server is being stopped"))
        except Exception as error:
            log.error("%s %r: %s: %r", scope.get("method"), scope.get("path"), type(error).__name__, str(error))
            await answered(problem(500, f"zerotag made a mistake ({type(error).__name__}); please report it"))

    async def _asked(self, scope: Scope, receive: Receive, answer: Answer) -> None:
        """Ask the application; how slowly a client takes the answer is no matter of those who wait for a place."""
        has_place = True

        def leave() -> None:
            nonlocal has_place
            self.at_once -= has_place
            has_place = False

        async def send(message: Message) -> None:
            leave()
            await answer(message)

        self.at_once += 1
        try:
            await self.app({**scope, "method": "GET"} if scope.get("method") == "HEAD" else scope, receive, send)
        finally:
            leave()

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if (twice := header_twice(headers)) is not None:
            return problem(400, f"the header {twice} comes more than once")
        reason = why_not(headers, scope.get("method", "GET"), scope.get("path", "/"), self.hosts)
        if reason is not None:
            return problem(403, reason)
        length = headers.get("content-length", "0")
        if LENGTH.fullmatch(length) is None or int(length) > self.bodies.max_bytes:
            return self.bodies.too_large()
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            return problem(415, "compressed bodies are not read; send the body without Content-Encoding")
        return self._busy()

    def _busy(self) -> JSONResponse | None:
        if self.at_once < self.max_at_once:
            return None
        return problem(503, "too many requests at once; ask again in a moment", RETRY)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives a body that was read, and then what else comes."""
    is_given = False

    async def replayed() -> Message:
        nonlocal is_given
        if is_given:
            return await receive()
        is_given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
