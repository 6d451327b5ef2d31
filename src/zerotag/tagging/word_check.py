"""What is odd about a list of words, before anything is tagged with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zerotag.labels import lookalikes
from zerotag.minilm import odd_words
from zerotag.progress import Progress, silent
from zerotag.tagging.words import WordList
from zerotag.vectors import MINILM, label_vectors

SYNONYMS_FROM = 0.85
BROAD_FROM = 0.75
MOST_PIECES = 3
BROAD = (
    "thing",
    "object",
    "photograph",
    "picture",
    "image",
    "scene",
    "item",
    "stuff",
    "something",
    "view",
    "miscellaneous",
)
NEIGHBOURS_AT_ONCE = 1024


@dataclass(frozen=True)
class WordCheck:
    """What was found.

    Attributes:
        num_labels: how many labels.
        num_aliases: and other names.
        without_vector: labels and other names that the source of vectors does not know.
        partly_known: labels of which some words have no vector, with these; the vector is that of the others.
        in_pieces: these, and labels with a word that the text encoder knows only as several pieces or letter by letter,
            as most of other languages, so that it may not know what they mean.
        without_letters: labels of punctuation marks alone.
        alike: labels or other names that differ in case, blanks, underscores or Unicode form alone.
        synonyms: pairs of labels that hardly differ in meaning, with their cosine; pictures will have both or none.
        broad: labels that say little about a picture.
    """

    num_labels: int
    num_aliases: int
    without_vector: list[str] = field(default_factory=list)
    partly_known: dict[str, tuple[str, ...]] = field(default_factory=dict)
    in_pieces: list[str] = field(default_factory=list)
    without_letters: list[str] = field(default_factory=list)
    alike: list[tuple[str, ...]] = field(default_factory=list)
    synonyms: list[tuple[str, str, float]] = field(default_factory=list)
    broad: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return vars(self)


def check_words(words: WordList, source: str = MINILM, *, progress: Progress = silent) -> WordCheck:
    """Look at labels and their other names as the source of their vectors sees them.

    Memory: a block of 1,024 labels by all.

    Raises:
        ZerotagError: none of the labels has a vector, or the source cannot be read.
    """
    names = [word.name for word in words.words]
    texts = [text for word in words.words for text in (word.name, *word.aliases)]
    generic = [name for name in BROAD if name not in texts]
    W, report = label_vectors([*texts, *generic], source, allow_missing=True, progress=progress)
    is_asked = np.isin(report.labels, names)
    is_generic = np.isin(report.labels, BROAD)
    vectors, known = W.numpy()[is_asked], [name for name in report.labels if name in set(names)]
    missing, partial = set(report.missing), {text: report.partial[text] for text in texts if text in report.partial}
    with_vector = [text for text in texts if text not in missing]
    pieces = odd_words(with_vector, MOST_PIECES) if source == MINILM else []
    return WordCheck(
        len(names),
        len(texts) - len(names),
        [text for text in texts if text in missing],
        partial,
        sorted({*pieces, *partial}),
        [text for text in with_vector if not any(map(str.isalnum, text))],
        lookalikes(texts),
        _synonyms(known, vectors),
        [] if not is_generic.any() else _broad(known, vectors, W.numpy()[is_generic]),
    )


def _synonyms(names: Sequence[str], vectors: np.ndarray) -> list[tuple[str, str, float]]:
    found = []
    for start in range(0, len(names), NEIGHBOURS_AT_ONCE):
        block = vectors[start : start + NEIGHBOURS_AT_ONCE] @ vectors.T
        first, second = (block >= SYNONYMS_FROM).nonzero()
        for i, j in zip((first + start).tolist(), second.tolist(), strict=True):
            if i < j:
                found.append((names[i], names[j], round(float(block[i - start, j]), 3)))
    return sorted(found, key=lambda pair: -pair[2])


def _broad(names: Sequence[str], vectors: np.ndarray, generic: np.ndarray) -> list[str]:
    near = (vectors @ generic.T).max(1)
    return [name for name, cosine in zip(names, near, strict=True) if cosine >= BROAD_FROM]
