"""What all answers have in common: headers that keep browsers careful, and pieces that a slow client can take."""

from __future__ import annotations

import http

from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import Message, Send

PIECE_BYTES = 256 * 1024
MOST_LARGE = 4
RETRY = {"Retry-After": "1"}
SAFE = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
UNKEPT = {"Cache-Control": "no-store"}


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """An answer that says in a sentence why there is no other; what is no text in it is written as an escape."""
    text = detail.encode("utf-8", "backslashreplace").decode()
    return JSONResponse({"detail": text}, status, headers)


def as_bytes(answer: JSONResponse) -> bytes:
    """An answer as bytes, for a connection on which no request could be read; it is closed afterwards."""
    answer.headers.update(SAFE | UNKEPT | {"Connection": "close"})
    lines = [b"HTTP/1.1 %d %s" % (answer.status_code, http.HTTPStatus(answer.status_code).phrase.encode())]
    lines += [name + b": " + value for name, value in answer.raw_headers]
    return b"\r\n".join([*lines, b"", bytes(answer.body)])


class LargeAnswers:
    """How many answers of more than one piece are on their way, each of which is held in memory until it is taken."""

    def __init__(self, most: int = MOST_LARGE) -> None:
        self.most, self.number = most, 0


class Answer:
    """A ``send`` for one answer.

    It adds the headers, leaves the body out where none was asked for, and sends a large body in pieces, so that no
    more than one of them waits in a buffer. One large answer too many becomes 503.

    Args:
        send: Function that sends.
        is_head: Whether the head alone was asked for.
        large: Large answers on their way.
    """

    def __init__(self, send: Send, is_head: bool, large: LargeAnswers) -> None:
        self.has_begun = False
        self._sent, self._is_head, self._large = send, is_head, large
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        """Send the head with the first piece of the body, or another piece."""
        if message["type"] == "http.response.start":
            self.has_begun, self._start = True, message
            return
        body = b"" if self._is_head else message.get("body", b"")
        if len(body) <= PIECE_BYTES:
            await self._send_head()
            await self._sent({**message, "body": body})
        elif self._large.number < self._large.most:
            await self._in_pieces(body, message.get("more_body", False))
        else:
            self._start = None
            await problem(503, "too many large answers are on their way; ask again in a moment", RETRY)(
                {"type": "http"}, _nothing, self
            )

    async def _in_pieces(self, body: bytes, is_more: bool) -> None:
        self._large.number += 1
        try:
            await self._send_head()
            for start in range(0, len(body), PIECE_BYTES):
                piece, end = body[start : start + PIECE_BYTES], start + PIECE_BYTES
                await self._sent({"type": "http.response.body", "body": piece, "more_body": end < len(body) or is_more})
        finally:
            self._large.number -= 1

    async def _send_head(self) -> None:
        if self._start is not None:
            headers = MutableHeaders(scope=self._start)
            headers.update(SAFE)
            headers.setdefault("Cache-Control", UNKEPT["Cache-Control"])
            start, self._start = self._start, None
            await self._sent(start)


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
