"""What a request may be: from this machine's own pages, small enough, and not one too many."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 64 * 2**20
MAX_AT_ONCE = 64
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class TooLargeError(Exception):
    """More came than was announced, or than is allowed."""


class Limits:
    """Middleware that turns away foreign hosts and origins, bodies over the limit, and what cannot be served soon.

    A page elsewhere cannot reach the server through a browser: its ``Origin``, or after DNS rebinding its ``Host``, is
    not one of ours. A body is refused by its announced length before a byte is read, and else counted as it comes.

    Args:
        app: what is asked when all is well.
        hosts: that are ours, without port.
        max_body_bytes: the largest body.
        max_at_once: requests in work; one more is answered 503.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Sequence[str] = LOOPBACK,
        max_body_bytes: int = MAX_BODY_BYTES,
        max_at_once: int = MAX_AT_ONCE,
    ) -> None:
        self.app, self.hosts = app, frozenset(hosts)
        self.max_body_bytes, self.max_at_once, self.at_once = max_body_bytes, max_at_once, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        self.at_once += 1
        has_begun = False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = has_begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, self._counted(receive), noted)
        except TooLargeError:
            if not has_begun:
                await _answer(413, f"a body may have {self.max_body_bytes:,} bytes")(scope, receive, send)
        finally:
            self.at_once -= 1

    def _refusal(self, scope: Scope) -> JSONResponse | None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if _host(headers.get("host", "")) not in self.hosts:
            return _answer(403, "this server answers to its own address alone")
        if (origin := headers.get("origin")) is not None and urlsplit(origin).netloc != headers.get("host"):
            return _answer(403, "pages of other sites may not ask this server")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.max_body_bytes:
            return _answer(413, f"a body may have {self.max_body_bytes:,} bytes")
        if self.at_once >= self.max_at_once:
            return _answer(503, "too many requests at once; ask again in a moment", {"Retry-After": "1"})
        return None

    def _counted(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_body_bytes:
                raise TooLargeError
            return message

        return counted


def _host(header: str) -> str:
    """The name in a Host header, without its port."""
    return header[: header.index("]") + 1] if header.startswith("[") and "]" in header else header.split(":")[0]


def _answer(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": detail}, status, headers)
