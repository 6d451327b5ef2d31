"""How long work tells how far it is: a function of what is being done, how much is done, and of how much."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, int], None]


def silent(what: str, done: int, total: int) -> None:
    """Report progress to nobody."""
