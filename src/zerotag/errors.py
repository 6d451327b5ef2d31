"""Errors a user can do something about; the command line prints them as one sentence, without a traceback."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 5


class ZerotagError(Exception):
    """Something the user can mend: the message says what was wrong, where, and what to do."""


class MissingPackageError(ZerotagError):
    """An optional package is not installed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed; "
            f"install it with: pip install 'zerotag[{extra}]'"
        )


class UnknownNameError(ZerotagError):
    """A name that nothing is registered under; the message lists the nearest known names, or all where none is near."""

    def __init__(self, kind: str, name: str, known: list[str]) -> None:
        from difflib import get_close_matches

        near = get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean: {', '.join(near)}?" if near else f"there are: {', '.join(sorted(known))}"
        super().__init__(f"there is no {kind} called '{name}'; {hint}")


def first_few(labels: Sequence[str]) -> str:
    """The first of some labels, quoted, and how many more there are, for an error message."""
    more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    return ", ".join(f"'{label}'" for label in labels[:SHOWN]) + more
