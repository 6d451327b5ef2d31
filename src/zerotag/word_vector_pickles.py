"""Vectors of the labels of NUS-WIDE in pickle files, as code for multi-label zero-shot learning hands them round.

Two forms: a list of two arrays, [1000, D] of the tags and [81, D] of the concepts, of any lengths; or one array
[D, 1006] of all labels in alphabetical order. Neither says which row is whose, so the lists of labels must lie in the
folder of the file or up to two above it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zerotag.errors import ZerotagError
from zerotag.nus_wide_lists import home_of_lists, label_lists, seen_tags
from zerotag.pickles import read_pickle


def is_pickle(start: bytes) -> bool:
    """Whether these are the first bytes of a pickle."""
    return start.startswith((b"\x80", b"(l", b"cnumpy"))


def read_rows(path: Path) -> dict[str, np.ndarray]:
    """Vectors by label; those of the concepts go before those of tags of the same name.

    Raises:
        ZerotagError: no plain pickle, arrays of other shapes than the lists of labels call for, or no lists.
    """
    content = read_pickle(path)
    tags, concepts = label_lists(home_of_lists(path.parent))
    labels = sorted([*seen_tags(tags, concepts), *concepts])
    if isinstance(content, list) and len(content) == 2 and all(isinstance(part, np.ndarray) for part in content):
        named = [(tags, content[0]), (concepts, content[1])]
    elif isinstance(content, np.ndarray) and content.ndim == 2:
        named = [(labels, content.T)]
    else:
        raise ZerotagError(f"{path} holds neither two arrays nor one; the forms are described in docs/formats.md")
    if any(table.ndim != 2 or table.dtype.kind not in "iuf" for _, table in named):
        raise ZerotagError(f"{path} holds an array that is no table of numbers, labels by length; see docs/formats.md")
    if len(lengths := {table.shape[1] for _, table in named}) > 1 or 0 in lengths:
        raise ZerotagError(f"{path} has vectors of {' and '.join(map(str, sorted(lengths)))} numbers: export it anew")
    rows: dict[str, np.ndarray] = {}
    for names, table in named:
        if len(table) != len(names):
            raise ZerotagError(
                f"{path} has vectors of {len(table)} labels, where the lists of labels have {len(names)}: it was "
                "made for other lists"
            )
        with np.errstate(over="ignore"):  # what is not finite is named by whoever looks a label up
            rows |= dict(zip(names, table.astype(np.float32), strict=True))
    return rows
