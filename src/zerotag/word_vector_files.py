"""Vectors of labels from word-vector files: GloVe, word2vec, fastText and pickles, told apart by their content.

Text files are read here, a line at a time: gensim cannot read GloVe files whose words hold spaces (those of 840 billion
words have some), holds every row in memory and cannot say which line is damaged. Binary files are gensim's.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import mmap
import re
import struct
import unicodedata
import zlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np

from zerotag.errors import MissingPackageError, ZerotagError
from zerotag.word_vector_pickles import is_pickle, read_rows

START_BYTES = 2**20
FASTTEXT_MAGIC = struct.pack("<i", 793712314)
FASTTEXT_SIZES = "<14id3i2q"  # magic, version, 12 settings, a rate, number of entries, ...
HEADER = re.compile(rb"(\d{1,12})[ \t]+(\d{1,12})[ \t]*\r?\n")
LONGEST_LINE = 2**20
MOST_LETTERS = 100  # of a part of a word that fastText has a vector of
DEFLATED = 1032  # how many bytes gzip can make one of
NO_TEXT = re.compile(rb"[\0-\x08\x0e-\x1f]")
BETWEEN_WORDS = re.compile(r"[\s_\-]+")
Rows = dict[str, np.ndarray]


class LabelVector(NamedTuple):
    """A label's vector of any length, or None; and those of the label's words that have none."""

    vector: np.ndarray | None
    unknown_words: tuple[str, ...] = ()


def look_up(path: Path, labels: Sequence[str]) -> dict[str, LabelVector]:
    """The vector of each label: its own entry in the file, or else the mean over those of its words that have one.

    A label of several words (between them spaces, underscores or hyphens) may stand in the file with any of the three.
    An entry spelt exactly so goes before one in lower case, and before one whose accents are composed. A fastText
    ``.bin`` makes up a vector from the letters of a word that it does not list.

    Raises:
        MissingPackageError: the file is binary, and gensim is not installed.
        ZerotagError: the file cannot be read, holds no word vectors, or is damaged.
    """
    words = {word for label in labels for word in _words(label)}
    wanted = {form for label in labels for form in _own_forms(label)} | {
        form for word in words for form in _cases(word)
    }
    with _explained(path):
        rows = _rows(path, wanted, words)
    if broken := [form for form, row in rows.items() if not np.isfinite(row).all()]:
        raise _damaged(path, f"the vector of '{broken[0]}' holds numbers that are not finite")
    return {label: _label_vector(label, rows) for label in labels}


def file_identity(path: Path) -> tuple[str, str]:
    """What tells the file from others, cheaply: a name for what is kept of it, and a checksum to record.

    The checksum is that of the first MiB with the size, since a file of gigabytes takes up to half a minute to read;
    the name also takes in place and time of change, so that an edit further down is noticed.

    Raises:
        ZerotagError: there is no such file, or it cannot be read.
    """
    if not path.is_file():
        raise ZerotagError(
            f"there is no word-vector file {path}; a source of label vectors is 'minilm' or the path of a GloVe, "
            "word2vec or fastText file"
        )
    with _explained(path), path.open("rb") as file:
        start = hashlib.sha256(file.read(START_BYTES)).hexdigest()
    state = path.stat()
    parts = json.dumps([str(path.resolve()), state.st_size, state.st_mtime_ns, start])
    return hashlib.sha256(parts.encode()).hexdigest()[:16], f"sha256-of-first-MiB:{start},bytes:{state.st_size}"


def _words(label: str) -> list[str]:
    return [word for word in BETWEEN_WORDS.split(label) if word]


def _cases(word: str) -> tuple[str, ...]:
    """How a word may be spelt in a file, best first; an "é" may come as two characters where the file has one."""
    composed = unicodedata.normalize("NFC", word)
    return word, word.lower(), composed, composed.lower()


def _own_forms(label: str) -> list[str]:
    """How an entry for the whole label may be spelt, best first."""
    words = _words(label)
    exact = [label.strip(), *(join.join(words) for join in "_- ")]
    return list(dict.fromkeys(form for spelt in zip(*map(_cases, exact), strict=True) for form in spelt))


def _label_vector(label: str, rows: Rows) -> LabelVector:
    for form in _own_forms(label):
        if form in rows:
            return LabelVector(rows[form])
    found = {word: next((rows[form] for form in _cases(word) if form in rows), None) for word in _words(label)}
    known = [row for row in found.values() if row is not None]
    unknown = tuple(word for word, row in found.items() if row is None)
    return LabelVector(np.mean(known, axis=0) if known else None, unknown)


def _rows(path: Path, wanted: Collection[str], words: Collection[str]) -> Rows:
    """The rows of ``wanted`` entries, by whichever reader the file's first bytes call for."""
    with _opened(path) as file:
        start = file.read(START_BYTES)
    if not start.strip():
        raise ZerotagError(f"{path} is empty; a word-vector file holds a line for each word")
    if is_pickle(start):
        rows = read_rows(path)
        return {form: rows[form] for form in wanted if form in rows}
    if start.startswith(FASTTEXT_MAGIC):
        return _binary_rows(path, wanted, words, is_fasttext=True)
    if header := HEADER.match(start):
        count, dimension = int(header[1]), int(header[2])
        if count and dimension and NO_TEXT.search(start, header.end()):
            if 4 * count * dimension > path.stat().st_size * (DEFLATED if _is_gzipped(path) else 1):
                raise _damaged(path, f"it is too small for {count} words of {dimension} numbers")
            return _binary_rows(path, wanted, words, is_fasttext=False)
        return _text_rows(path, wanted, dimension, count)
    first = start.split(b"\n", 1)[0].split()
    if len(first) < 3 or not all(_is_number(field) for field in first[1:]):
        raise ZerotagError(
            f"{path} holds no word vectors; GloVe .txt, word2vec .txt and .bin, fastText .vec and .bin can be read "
            "(unpacked or gzipped), in text files each line is a word and its numbers"
        )
    return _text_rows(path, wanted, len(first) - 1, None)


def _text_rows(path: Path, wanted: Collection[str], dimension: int, count: int | None) -> Rows:
    """Rows of a text file, whose header, if it has one, says how many there are; of equal words the first counts."""
    forms = {form.encode(): form for form in wanted}
    rows: Rows = {}
    number = read = 0
    with _opened(path) as file:
        for number, line in enumerate(iter(partial(file.readline, LONGEST_LINE), b""), start=1):
            if len(line) == LONGEST_LINE:
                raise _damaged(path, f"line {number} has {LONGEST_LINE:,} bytes or more")
            if (number == 1 and count is not None) or not line.strip():
                continue
            word, *numbers = line.rsplit(None, dimension)
            # a word may hold spaces, but its end looks like a number only where the line has too many
            if len(numbers) < dimension or (b" " in word and _is_number(word.rsplit(None, 1)[-1])):
                raise _damaged(path, f"line {number} has {len(line.split()) - 1} numbers, not {dimension}")
            read += 1
            if (form := forms.get(word)) is not None and form not in rows:
                try:
                    rows[form] = np.array([float(field) for field in numbers], np.float32)
                except ValueError as error:
                    raise _damaged(path, f"line {number}: {error}") from error
    if read < (count or 1):
        raise _damaged(path, f"it ends on line {number} after {read} of {count} words")
    return rows


def _binary_rows(path: Path, wanted: Collection[str], words: Collection[str], *, is_fasttext: bool) -> Rows:
    """Rows of a binary file; of a fastText file also rows of those ``words`` that it does not list."""
    try:
        from gensim.models import KeyedVectors
        from gensim.models.fasttext import load_facebook_vectors
    except ModuleNotFoundError:
        raise MissingPackageError("gensim", "words", f"Reading the binary word vectors in {path}") from None
    try:
        if is_fasttext:
            _check_sizes(path)
            vectors = load_facebook_vectors(str(path))
        else:
            vectors = KeyedVectors.load_word2vec_format(str(path), binary=True, unicode_errors="replace")
    except MemoryError as error:
        raise ZerotagError(f"{path} does not fit into memory; take the text file of the same vectors") from error
    except Exception as error:  # gensim raises errors of many kinds where a file is damaged
        raise _damaged(path, f"gensim: {error or type(error).__name__}") from error
    rows = {form: vectors[form] for form in wanted if form in vectors.key_to_index}
    if is_fasttext and vectors.bucket and vectors.max_n:
        made_up = {word: vectors[word] for word in words if not any(form in rows for form in _cases(word))}
        rows |= {word: row for word, row in made_up.items() if row.any()}
    return rows


def _check_sizes(path: Path) -> None:
    """Raise an error where gensim would read on for ever, or take more memory than the file has bytes."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if not data[:4] == FASTTEXT_MAGIC:
            raise ValueError("a gzipped fastText .bin has to be unpacked first")
        at, sizes = struct.calcsize(FASTTEXT_SIZES), struct.unpack_from(FASTTEXT_SIZES, data)
        longest, entries, pruned = sizes[12], sizes[15], sizes[19]
        if longest > MOST_LETTERS:
            raise ValueError(f"it has parts of words of up to {longest} letters")
        for _ in range(entries):
            end_of_word = data.find(b"\0", at)
            if end_of_word < 0:
                raise EOFError("the file ends within its dictionary")
            at = end_of_word + 10  # a count and a type follow
        at += 8 * max(0, pruned) + 1  # pairs of numbers, and whether the table is compressed
        rows, columns = struct.unpack_from("<2q", data, at)
        if rows < 0 or columns < 0 or 4 * rows * columns > len(data) - at:
            raise EOFError(f"the file ends within its table of {rows} by {columns} numbers")


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _is_gzipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked where it is gzipped."""
    with gzip.open(path) if _is_gzipped(path) else path.open("rb") as file:
        yield cast(BinaryIO, file)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn errors of reading into sentences that name the file."""
    try:
        yield
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise _damaged(path, str(error)) from error
    except OSError as error:
        raise ZerotagError(f"{path} cannot be read ({error.strerror or error})") from error


def _damaged(path: Path, what: str) -> ZerotagError:
    return ZerotagError(f"{path} is no whole word-vector file ({what}); fetch or export it anew")
