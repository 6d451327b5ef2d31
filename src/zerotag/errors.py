"""Errors a user can do something about; the command line prints them as one sentence, without a traceback."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

SHOWN = 5
MOST_COMPARED, MOST_LISTED = 10_000, 100
LONGEST_SHOWN = 120
# obeyed by a terminal or never seen: control characters, marks of direction, separators of lines and paragraphs,
# embeddings, overrides and isolates of direction, surrogates, annotations between the lines, tags
UNSHOWN = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


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

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        hint = _hint(name, known)
        super().__init__(f"there is no {kind} called '{shortened(name)}'; {hint}")


def _hint(name: str, known: Sequence[str]) -> str:
    from difflib import get_close_matches

    # how long a comparison takes grows with the product of both lengths
    comparable = [one for one in known if len(one) <= LONGEST_SHOWN] if len(name) <= LONGEST_SHOWN else []
    if near := get_close_matches(name, comparable[:MOST_COMPARED], n=3, cutoff=0.5):
        return f"did you mean: {', '.join(near)}?"
    return f"there are: {', '.join(map(shortened, sorted(known)[:MOST_LISTED]))}" + more_than(known, MOST_LISTED)


class UnwritableError(ZerotagError):
    """Something has to be written where this process may only read."""

    def __init__(self, place: Path, error: OSError) -> None:
        super().__init__(
            f"{place} cannot be written ({error.strerror or error}); make it writable, or, if it lies in the cache, "
            "set ZEROTAG_CACHE to a folder of your own"
        )


def first_few(labels: Sequence[str]) -> str:
    """The first of some labels, quoted, and how many more there are, for an error message."""
    return ", ".join(f"'{shortened(label)}'" for label in labels[:SHOWN]) + more_than(labels, SHOWN)


def more_than(labels: Sequence[str], number: int) -> str:
    """How many labels there are beyond the first ones, for the end of a list."""
    return f" and {len(labels) - number:,} more" if len(labels) > number else ""


def shortened(text: str) -> str:
    """A text of somebody's, cut off where it is too long for a sentence."""
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def shown(text: str) -> str:
    r"""A name, a label or a sentence as it is printed: on one line, with nothing that a terminal would obey.

    What a terminal would obey, what nobody would see and yet changes what is read, and what standard output's encoding
    lacks, is escaped as in Python: ``\x1b``, ``\u202e``; a byte of a file's name that is no UTF-8 likewise: ``\xff``.
    Joiners and variation selectors stay: Persian, many scripts of India, and emoji are written with them.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return visible(text).encode(encoding, "backslashreplace").decode(encoding)


def visible(text: str) -> str:
    """A text for a page, a file or a figure, with characters escaped that a terminal would obey or nobody sees."""
    return UNSHOWN.sub(_escaped, text)


def visible_lines(text: str) -> str:
    """A text of several lines with the same characters escaped, but for line feeds."""
    return "\n".join(map(visible, text.split("\n")))


def in_json(text: str) -> str:
    """Text of JSON with the same characters escaped as JSON escapes them, so that it says the same; line feeds stay."""
    return UNSHOWN.sub(lambda found: found[0] if found[0] == "\n" else json.dumps(found[0])[1:-1], text)


def _escaped(found: re.Match[str]) -> str:
    sign = found[0]
    if "\udc80" <= sign <= "\udcff":
        return f"\\x{ord(sign) - 0xDC00:02x}"
    return sign.encode("unicode_escape").decode()
