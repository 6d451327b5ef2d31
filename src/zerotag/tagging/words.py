"""Words that people tag with: names, other names for the same, what stands above them, and from where they count.

A label file is a text with a label a line, or YAML::

    sets: [photographer]            # words that come along
    labels:
      - dog
      - {name: kitten, aliases: [young cat], parent: cat, threshold: 0.6}
    groups:
      fruit: [apple, pear]          # labels with a common parent
    exclude: [text]                 # never given, in any case and by any of its names, also as a parent
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from zerotag.errors import UnknownNameError, ZerotagError, first_few
from zerotag.labels import read_label_file, read_text
from zerotag.tagging.word_yaml import Word as Word
from zerotag.tagging.word_yaml import parse

IMAGENET = "imagenet"
MOST_LEVELS = 100
YAML_SUFFIXES = (".yaml", ".yml")

Lookup = Callable[..., Any]


@dataclass(frozen=True)
class WordList:
    """Labels to tag with.

    Raises:
        ZerotagError: there are none, a name or alias comes twice, or a label stands above itself.
    """

    words: tuple[Word, ...]

    def __post_init__(self) -> None:
        if not self.words:
            raise ZerotagError("there are no labels; give at least one")
        texts = [text for word in self.words for text in (word.name, *word.aliases)]
        if twice := [text for text, count in Counter(texts).items() if count > 1]:
            raise ZerotagError(f"labels or aliases that come more than once: {first_few(twice)}")
        self._check_parents()

    def _check_parents(self) -> None:
        """Follow every parent once, however long the chains are."""
        levels: dict[str | None, int] = {}
        for word in self.words:
            chain: dict[str, None] = {}
            name: str | None = word.name
            while name is not None and name in self.by_name and name not in levels:
                if name in chain:
                    raise ZerotagError(f"the label '{name}' stands above itself; mend its parents")
                chain[name] = None
                name = self.by_name[name].parent
            above = levels.get(name, 0)
            levels |= {below: above + step for step, below in enumerate(reversed(chain), start=1)}
            if levels[word.name] > MOST_LEVELS:
                raise ZerotagError(
                    f"the label '{word.name}' has more than {MOST_LEVELS} others above it; leave out some parents"
                )

    @cached_property
    def by_name(self) -> dict[str, Word]:
        """Words by their names."""
        return {word.name: word for word in self.words}

    def above(self, name: str) -> list[str]:
        """What stands above a label: its parent, the parent's parent and so on."""
        found: list[str] = []
        while (word := self.by_name.get(name)) is not None and word.parent is not None and word.parent not in found:
            found.append(word.parent)
            name = word.parent
        return found

    def to_plain(self) -> list[dict[str, Any]]:
        """The same as plain data, for JSON."""
        return [word.model_dump(exclude_defaults=True) for word in self.words]

    @classmethod
    def of_plain(cls, plain: Iterable[dict[str, Any]]) -> WordList:
        """The list from what :meth:`to_plain` gave."""
        return cls(tuple(Word.model_validate(word) for word in plain))


@dataclass(frozen=True)
class Vocabulary:
    """Labels that have vectors, ready to be scored.

    Attributes:
        words: the labels.
        W: vectors of their names and aliases, label by label.
        starts: the row of W where each label begins.
        missing: labels left out for want of a vector.
        partial: labels of which some words, or other names, have no vector and so do not count, with these.
    """

    words: WordList
    W: Float[Tensor, "t d"]
    starts: np.ndarray
    missing: tuple[str, ...] = ()
    partial: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the labels."""
        return tuple(word.name for word in self.words.words)

    def of_labels(self, scores: Float[np.ndarray, "b t"]) -> Float[np.ndarray, "b c"]:
        """Scores of labels from those of names and aliases: the best of each."""
        return scores if len(self.starts) == scores.shape[1] else np.maximum.reduceat(scores, self.starts, axis=1)


def vocabulary_of(words: WordList, vectorise: Lookup, *, allow_missing: bool) -> Vocabulary:
    """The labels with their vectors.

    Raises:
        ZerotagError: neither a label's name nor an alias has a vector, and ``allow_missing`` is not set; or none has.
    """
    texts = [text for word in words.words for text in (word.name, *word.aliases)]
    has_aliases = len(texts) > len(words.words)
    W, report = vectorise(texts, allow_missing=allow_missing or has_aliases)
    known = set(report.labels)
    number = [sum(text in known for text in (word.name, *word.aliases)) for word in words.words]
    missing = tuple(word.name for word, vectors in zip(words.words, number, strict=True) if not vectors)
    if missing and not allow_missing:
        vectorise(missing)  # raises, and says where the vectors were looked for
    kept = [count for count in number if count]
    chosen = WordList(tuple(word for word, count in zip(words.words, number, strict=True) if count))
    unknown = {text: (text,) for text in report.missing} | report.partial
    partial = {
        word.name: tuple(dict.fromkeys(part for text in (word.name, *word.aliases) for part in unknown.get(text, ())))
        for word in chosen.words
    }
    partial = {name: parts for name, parts in partial.items() if parts}
    return Vocabulary(chosen, W, np.cumsum([0, *kept[:-1]]), missing, partial)


def named_sets() -> list[str]:
    """Lists of words that come along."""
    return sorted([IMAGENET, *_files()])


def named_set(name: str) -> WordList:
    """A list of words that comes along.

    Raises:
        UnknownNameError: there is none of this name.
    """
    if name not in named_sets():
        raise UnknownNameError("list of words", name, named_sets())
    if name == IMAGENET:
        return WordList(tuple(imagenet_words()))
    return read_words(_files()[name])


def _files() -> dict[str, Path]:
    folder = Path(str(resources.files("zerotag"))) / "tagging" / "word_lists"
    return {file.stem: file for file in folder.iterdir()}


def imagenet_words() -> list[Word]:
    """The thousand classes of ImageNet, in their order; the first name that is free is the label, others aliases."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    taken: set[str] = set()
    words = []
    for index in range(info.num_classes()):
        names = [name.strip() for name in info.index_to_description(index).split(",")]
        free = [name for name in dict.fromkeys(names) if name not in taken] or [f"{names[0]} ({index})"]
        taken |= set(free)
        words.append(Word(name=free[0], aliases=tuple(free[1:])))
    return words


def read_words(source: str | Path) -> WordList:
    """Labels of a file, or of a list that comes along.

    Args:
        source: a text file with a label a line, a YAML file, or a name such as "photographer".

    Raises:
        ZerotagError: there is no such file or list, or it does not hold; the message says where.
    """
    path = Path(source)
    if not path.is_file() and str(source) in named_sets():
        return named_set(str(source))
    if path.suffix.lower() not in YAML_SUFFIXES:
        return WordList(tuple(Word(name=name) for name in read_label_file(path)))
    return _parsed(read_text(path, "the label file"), str(path))


def _parsed(text: str, where: str) -> WordList:
    file = parse(text, where)
    grouped = (
        word if word.parent else word.model_copy(update={"parent": group})
        for group, words in file.groups.items()
        for word in words
    )
    words = [*file.labels, *grouped]
    for name in file.sets:
        taken = {text for word in words for text in (word.name, *word.aliases)}
        words += [word for word in named_set(name).words if not taken & {word.name, *word.aliases}]
    return _without(WordList(tuple(words)), file.exclude, where)


def _without(words: WordList, excluded: Sequence[str], where: str) -> WordList:
    """The list without labels that have an excluded name; those below one stand below what is above it."""
    names = {name.casefold() for name in excluded}
    known = {text.casefold() for word in words.words for text in (word.name, *word.aliases, word.parent) if text}
    if unknown := [name for name in excluded if name.casefold() not in known]:
        raise ZerotagError(f"{where} excludes {first_few(unknown)}, which none of its lists has; look at the spelling")
    texts = {word.name: {text.casefold() for text in (word.name, *word.aliases)} for word in words.words}
    names |= {text for of_word in texts.values() if of_word & names for text in of_word}
    kept = []
    for word in words.words:
        above = next((parent for parent in words.above(word.name) if parent.casefold() not in names), None)
        if not texts[word.name] & names:
            kept.append(word if above == word.parent else word.model_copy(update={"parent": above}))
    return WordList(tuple(kept))


def labels_and_above(names: Sequence[str], words: WordList) -> list[str]:
    """Labels, and what stands above each of them, every one once."""
    return list(dict.fromkeys(label for name in names for label in (name, *words.above(name))))
