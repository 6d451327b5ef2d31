"""What a request may be: from this machine's own pages, whole, small enough, and not one too many."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from zerotag.server.origins import LOOPBACK, header_twice, why_not

MAX_BODY_BYTES = 64 * 2**20
MAX_AT_ONCE = 64
SECONDS_WITHOUT_A_BYTE = 30.0
LENGTH = re.compile(r"[0-9]{1,18}")
SAFE = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
log = logging.getLogger(__name__)


class HungUpError(Exception):
    """The client closed the connection before it had sent the whole body."""


class Limits:
    """Middleware that answers what the application is not asked: foreign pages, and bodies too large, odd or slow.

    A body is refused by its announced length before a byte is read, else counted as it comes, and handed on whole.
    ``HEAD`` is answered as ``GET`` without a body. All answers carry the headers that keep browsers careful.

    Args:
        app: Application to ask when all is well.
        hosts: Names of this server, without port.
        max_body_bytes: Size of the largest body.
        max_at_once: Number of requests in work; one more is answered 503.
        seconds: Time that a client may let pass without sending a byte of its body.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Sequence[str] = LOOPBACK,
        max_body_bytes: int = MAX_BODY_BYTES,
        max_at_once: int = MAX_AT_ONCE,
        seconds: float = SECONDS_WITHOUT_A_BYTE,
    ) -> None:
        self.app, self.hosts, self.seconds = app, frozenset(hosts), seconds
        self.max_body_bytes, self.max_at_once, self.at_once = max_body_bytes, max_at_once, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method = scope.get("method", "GET")
        has_begun = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            if message["type"] == "http.response.start":
                has_begun = True
                message.setdefault("headers", [])
                MutableHeaders(scope=message).update(SAFE)
            elif method == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        async def answered(answer: JSONResponse) -> None:
            if not has_begun:
                await answer(scope, receive, noted)

        refusal = self._refusal(scope)
        if refusal is not None:
            await answered(refusal)
            return
        self.at_once += 1
        try:
            body = await self._body(receive)
            if isinstance(body, JSONResponse):
                await answered(body)
            else:
                asked = {**scope, "method": "GET"} if method == "HEAD" else scope
                await self.app(asked, _replayed(body, receive), noted)
        except HungUpError:
            pass
        except asyncio.CancelledError:  # the server stops, and nobody waits for this task's outcome
            await answered(problem(503, "the server is being stopped"))
        except Exception as error:
            log.error("%s %r: %s: %r", method, scope.get("path"), type(error).__name__, str(error))
            await answered(problem(500, f"zerotag made a mistake ({type(error).__name__}); please report it"))
        finally:
            self.at_once -= 1

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if (twice := header_twice(headers)) is not None:
            return problem(400, f"the header {twice} comes more than once")
        reason = why_not(headers, scope.get("method", "GET"), scope.get("path", "/"), self.hosts)
        if reason is not None:
            return problem(403, reason)
        length = headers.get("content-length", "0")
        if LENGTH.fullmatch(length) is None or int(length) > self.max_body_bytes:
            return self._too_large()
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            return problem(415, "compressed bodies are not read; send the body without Content-Encoding")
        if self.at_once >= self.max_at_once:
            return problem(503, "too many requests at once; ask again in a moment", {"Retry-After": "1"})
        return None

    async def _body(self, receive: Receive) -> bytes | JSONResponse:
        pieces, size, is_more = [], 0, True
        while is_more:
            try:
                message = await asyncio.wait_for(receive(), self.seconds)
            except TimeoutError:
                return problem(408, f"nothing of the body came for {self.seconds:g} seconds; send it again")
            if message["type"] == "http.disconnect":
                raise HungUpError
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            if size > self.max_body_bytes:
                return self._too_large()
            is_more = message.get("more_body", False)
        return b"".join(pieces)

    def _too_large(self) -> JSONResponse:
        return problem(413, f"a body may have {self.max_body_bytes:,} bytes")


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An answer that says in a sentence why there is no other; what is no text in it is written as an escape."""
    text = detail.encode("utf-8", "backslashreplace").decode()
    return JSONResponse({"detail": text}, status, headers)


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
