"""Errors a user can do something about; the command line prints them as one sentence, without a traceback."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

SHOWN = 5
# control characters, line and paragraph separators, bidirectional embeddings, overrides and isolates, surrogates
UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


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


class UnwritableError(ZerotagError):
    """Something has to be written where this process may only read."""

    def __init__(self, place: Path, error: OSError) -> None:
        super().__init__(
            f"{place} cannot be written ({error.strerror or error}); make it writable, or, if it lies in the cache, "
            "set ZEROTAG_CACHE to a folder of your own"
        )


def first_few(labels: Sequence[str]) -> str:
    """The first of some labels, quoted, and how many more there are, for an error message."""
    more = f" and {len(labels) - SHOWN} more" if len(labels) > SHOWN else ""
    return ", ".join(f"'{label}'" for label in labels[:SHOWN]) + more


def shown(text: str) -> str:
    r"""A name, a label or a sentence as it is printed: on one line, with nothing that a terminal would obey.

    What a terminal would obey, and what standard output's encoding lacks, is escaped as in Python: ``\x1b``,
    ``\u202e``; a byte of a file's name that is no UTF-8 likewise: ``\xff``.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return UNSHOWN.sub(_escaped, text).encode(encoding, "backslashreplace").decode(encoding)


def _escaped(found: re.Match[str]) -> str:
    sign = found[0]
    if "\udc80" <= sign <= "\udcff":
        return f"\\x{ord(sign) - 0xDC00:02x}"
    return sign.encode("unicode_escape").decode()
