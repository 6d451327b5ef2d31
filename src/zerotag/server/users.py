"""Which user of this machine asks: the loopback address is shared by all of them."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))  # clients may reach IPv4 through a socket for IPv6
ROOT, ORPHAN = "0", "0"

Place = tuple[str, int]


class Users:
    """Tells whether a connection comes from the user who runs the server, or from root, who may read all anyway.

    Linux lists whose socket is at the other end. A socket that was closed is listed as nobody's, so what it sent before
    is not read either.

    Args:
        listening: Address and port of the server.
        tables: Files in which the system lists sockets.
    """

    def __init__(self, listening: Place, tables: tuple[Path, ...] = TABLES) -> None:
        self._tables = tables
        self.can_tell = any(row[1] == _written(listening) for row in self._rows())

    def may_ask(self, client: Place, server: Place) -> bool:
        """Whether a client's socket is of the same user, or of root; True where this system does not tell."""
        if not self.can_tell:
            return True
        ends, allowed = (_written(client), _written(server)), {ROOT, str(os.getuid())}
        for row in self._rows():
            if row[1].endswith(ends[0]) and row[2].endswith(ends[1]):
                return row[7] in allowed and row[9] != ORPHAN
        return False

    def _rows(self) -> Iterator[list[str]]:
        for table in self._tables:
            with suppress(OSError), table.open(encoding="ascii") as file:
                yield from (row for row in map(str.split, file) if len(row) > 9)


def _written(place: Place) -> str:
    """An address as the tables write it."""
    (number,) = struct.unpack("=I", socket.inet_aton(place[0]))
    return f"{number:08X}:{place[1]:04X}"
