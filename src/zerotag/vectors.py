"""Label vectors: any label as a unit vector, from a text encoder or a file of word vectors.

What was once computed stays in a table in the cache, since importing the encoder takes 10 to 25 seconds and reading a
large file of word vectors as long.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float64
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save
from torch import Tensor

from zerotag import minilm
from zerotag.errors import ZerotagError, first_few
from zerotag.locks import alone
from zerotag.progress import Progress, silent
from zerotag.storage import cache_folder, write_atomically
from zerotag.word_vector_files import LabelVector, file_identity, look_up

MINILM = "minilm"
SUFFIX = "-v3.safetensors"  # another number when the same label gets another vector
SHORTEST = 1e-6
ENCODED_AT_ONCE = 256


@dataclass(frozen=True)
class VectorReport:
    """Where label vectors came from.

    Attributes:
        labels: those with a vector, in the order of the rows.
        missing: those without.
        source: "minilm" or the path of the word-vector file.
        dimension: of the vectors.
        partial: labels whose vector is the mean over some of their words only, with the words that had none.
        centred: whether a mean vector was taken away.
        checksum: of the model's weights or of the file.
    """

    labels: tuple[str, ...]
    missing: tuple[str, ...]
    source: str
    dimension: int
    partial: dict[str, tuple[str, ...]]
    centred: bool
    checksum: str

    def to_dict(self) -> dict[str, Any]:
        """The same as plain data, as JSON gives it back."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


def label_vectors(
    labels: Sequence[str],
    source: str | Path = MINILM,
    *,
    centre_on: Sequence[str] | None = None,
    allow_missing: bool = False,
    progress: Progress = silent,
) -> tuple[Float[Tensor, "c d"], VectorReport]:
    """A unit vector for each label, and where it came from.

    Args:
        labels: C words or phrases.
        source: "minilm", or the path of a GloVe, word2vec or fastText file.
        centre_on: labels whose mean unit vector, over those that have one, is taken away before vectors are brought to
            unit length again; a run centres any word on its seen labels. Nothing is taken away when left out.
        allow_missing: leave out labels that have no vector instead of raising.
        progress: told how many labels that are not in the cache are done.

    Raises:
        MissingPackageError: the source needs a package that is not installed.
        ZerotagError: there are no labels, or blank or equal ones; labels have no vector; nothing is left of a vector
            when the mean is taken away; or the word-vector file cannot be read.
    """
    _check("labels", labels)
    if centre_on is not None:
        _check("labels to centre on", centre_on)
    opened = _open(source)
    found = _kept(opened, list(dict.fromkeys([*labels, *(centre_on or ())])), progress)
    known = _with_vector(labels, found)
    if (missing := [label for label in labels if found[label].vector is None]) and not (allow_missing and known):
        ways = f"choose other words{', English ones' if source == MINILM else ''}, or another source of vectors"
        ways += ", or leave them out (--allow-missing, in Python allow_missing=True)" if known else ""
        raise ZerotagError(
            f"{len(missing)} of {len(labels)} labels have no vector in {source}: {first_few(missing)}; {ways}"
        )
    zeros = f"choose other words: all numbers are zero in {source} for"
    vectors = _unit(known, _stacked(known, found), zeros)
    if centre_on is not None:
        if not (basis := _with_vector(centre_on, found)):
            raise ZerotagError(f"none of the labels to centre on has a vector in {source}: {first_few(centre_on)}")
        mean = _unit(basis, _stacked(basis, found), zeros).mean(0)
        vectors = _unit(known, vectors - mean, "centre on more labels: their mean leaves nothing of the vector of")
    report = VectorReport(
        labels=tuple(known),
        missing=tuple(missing),
        source=str(source),
        dimension=vectors.shape[1],
        partial={label: found[label].unknown_words for label in known if found[label].unknown_words},
        centred=centre_on is not None,
        checksum=opened.checksum,
    )
    return torch.from_numpy(vectors.astype(np.float32)), report


class _Source(NamedTuple):
    table: Path
    checksum: str
    compute: Callable[[list[str]], dict[str, LabelVector]]
    at_once: int | None


def _open(source: str | Path) -> _Source:
    folder = cache_folder() / "vectors"
    if source == MINILM:
        checksum = minilm.weights_checksum()
        return _Source(folder / f"minilm-{checksum[:16]}{SUFFIX}", f"sha256:{checksum}", minilm.encode, ENCODED_AT_ONCE)
    path = Path(source).expanduser()
    digest, checksum = file_identity(path)
    return _Source(folder / f"{path.stem[:40]}-{digest}{SUFFIX}", checksum, partial(look_up, path), None)


def _kept(source: _Source, labels: list[str], progress: Progress) -> dict[str, LabelVector]:
    """Vectors from the table in the cache, which those not yet there are computed for and added to.

    They are added some at a time, so that little is lost of thousands when the process is killed: the encoder takes 20
    milliseconds a label. A file of word vectors is read once for all labels. One process computes at a time, and others
    find what it added; a row that is there is never replaced by another.
    """
    kept = _read_table(source.table)
    new = [label for label in labels if label not in kept]
    at_once = source.at_once or max(1, len(new))
    for start in range(0, len(new), at_once):
        with alone(source.table):
            kept |= _read_table(source.table)
            if missing := [label for label in new[start : start + at_once] if label not in kept]:
                kept |= source.compute(missing)
                _write_table(source.table, kept)
        progress("Finding label vectors", min(start + at_once, len(new)), len(new))
    return kept


def _write_table(file: Path, entries: dict[str, LabelVector]) -> None:
    vectors = [entry.vector for entry in entries.values() if entry.vector is not None]
    rows = np.stack(vectors).astype(np.float32) if vectors else np.zeros((0, 0), np.float32)
    plain = json.dumps([[label, v.vector is not None, v.unknown_words] for label, v in entries.items()])
    write_atomically(file, save({"rows": rows}, {"entries": plain, "digest": _digest(rows, plain)}))


def _read_table(file: Path) -> dict[str, LabelVector]:
    """What is in the table; nothing where there is none or it is damaged, so that it is computed again."""
    try:
        with safe_open(file, "numpy") as content:
            plain, rows = content.metadata()["entries"], content.get_tensor("rows")
            if content.metadata()["digest"] != _digest(rows, plain):
                return {}
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return {}
    left = iter(rows)
    return {label: LabelVector(next(left) if has else None, tuple(words)) for label, has, words in json.loads(plain)}


def _digest(rows: np.ndarray, plain: str) -> str:
    return hashlib.sha256(rows.tobytes() + plain.encode()).hexdigest()


def _with_vector(labels: Sequence[str], found: dict[str, LabelVector]) -> list[str]:
    return [label for label in labels if found[label].vector is not None]


def _stacked(labels: Sequence[str], found: dict[str, LabelVector]) -> Float64[np.ndarray, "c d"]:
    return np.array([found[label].vector for label in labels], np.float64)


def _unit(labels: Sequence[str], vectors: Float64[np.ndarray, "c d"], complaint: str) -> Float64[np.ndarray, "c d"]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if short := [label for label, length in zip(labels, lengths[:, 0], strict=True) if length < SHORTEST]:
        raise ZerotagError(f"{complaint} {first_few(short)}")
    return vectors / lengths


def _check(what: str, labels: Sequence[str]) -> None:
    if isinstance(labels, str):
        raise ZerotagError(f"the {what} are a list of words, but the text '{labels}' was given")
    if not labels:
        raise ZerotagError(f"there are no {what}; give at least one")
    if blank := [place for place, label in enumerate(labels, start=1) if not label.strip()]:
        raise ZerotagError(f"{what}: number {blank[0]} of {len(labels)} is blank; take it out")
    if twice := [label for label, count in Counter(labels).items() if count > 1]:
        raise ZerotagError(f"{what} that come more than once: {first_few(twice)}")
