"""Who may ask: programs on this machine, and the server's own page."""

from __future__ import annotations

import re
from collections.abc import Collection

from starlette.datastructures import Headers

LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
ONCE = ("host", "origin", "sec-fetch-site", "sec-fetch-mode", "content-length", "content-type", "content-encoding")
AUTHORITY = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[^\s:/@\[\]]+?)\.?(:(?P<port>[0-9]{1,5}))?")
ORIGIN = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/]+)")
PORTS = {"http": "80", "https": "443"}


def header_twice(headers: Headers) -> str | None:
    """The name of a header that came twice, of those of which one alone can be meant."""
    return next((name for name in ONCE if len(headers.getlist(name)) > 1), None)


def why_not(headers: Headers, method: str, path: str, hosts: Collection[str]) -> str | None:
    """Why a request may not be answered; None where it may.

    A page elsewhere reaches a server on this machine through its visitor's browser, which then names the page's
    ``Origin``, says in ``Sec-Fetch-Site`` whose page it was, or, after DNS rebinding, names a foreign ``Host``.

    Args:
        headers: Headers of the request.
        method: Method of the request.
        path: Path of the request; a link on a page elsewhere may lead to ``/``.
        hosts: Names of this server, in small letters.
    """
    host = _parted(headers.get("host", ""), "http")
    if host is None or host[0] not in hosts:
        return "this server answers to its own address alone"
    if (origin := headers.get("origin")) is not None:
        found = ORIGIN.fullmatch(origin.lower())
        if found is None or _parted(found["authority"], found["scheme"]) != host:
            return "pages of other sites may not ask this server"
    is_link = (method, path, headers.get("sec-fetch-mode")) == ("GET", "/", "navigate")
    if headers.get("sec-fetch-site", "none").lower() not in ("none", "same-origin") and not is_link:
        return "pages of other sites may not ask this server"
    return None


def _parted(authority: str, scheme: str) -> tuple[str, str] | None:
    """Name and port of a server as a browser compares them."""
    found = AUTHORITY.fullmatch(authority.lower())
    return None if found is None else (found["name"], found["port"] or PORTS[scheme])
