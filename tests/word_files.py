"""Word-vector files in the formats that people have, with nine words that tests know."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

WORDS = {
    "the": [0.1, 0.2, -0.3],
    "cat": [1.0, 2.0, 2.0],
    "dog": [0.0, 3.0, 4.0],
    "sea": [1.0, 0.0, 0.0],
    "lion": [0.0, 1.0, 0.0],
    "ice-cream": [0.0, 0.0, 2.0],
    "New_York": [-1.0, 0.0, 0.0],
    "Paris": [0.0, -1.0, 0.0],
    "Čeština": [0.0, 0.0, -1.0],
}


def glove(folder: Path, words: dict[str, list[float]] = WORDS, name: str = "glove.txt") -> Path:
    file = folder / name
    lines = [" ".join([word, *map(repr, numbers)]) for word, numbers in words.items()]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def fasttext_text(folder: Path, words: dict[str, list[float]] = WORDS) -> Path:
    file = folder / "fasttext.vec"  # as fastText writes it: a header, and a space at the end of each line
    lines = [f"{len(words)} 3", *(" ".join([word, *map(repr, numbers)]) + " " for word, numbers in words.items())]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def word2vec(folder: Path, *, binary: bool) -> Path:
    from gensim.models import KeyedVectors

    file = folder / ("word2vec.bin" if binary else "word2vec.txt")
    keyed = KeyedVectors(3)
    keyed.add_vectors(list(WORDS), np.array(list(WORDS.values()), np.float32))
    keyed.save_word2vec_format(str(file), binary=binary)
    return file


def gzipped(file: Path) -> Path:
    packed = file.with_name(file.name + ".gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    return packed


def fasttext_model() -> Any:
    from gensim.models import FastText

    sentences = [["dog", "puppy", "Paris", "sea", "lion"], ["dog", "čeština", "sea_lion"]] * 5
    return FastText(sentences, vector_size=8, min_count=1, bucket=50, epochs=1, seed=1, workers=1)


def fasttext_binary(folder: Path, model: Any) -> Path:
    from gensim.models.fasttext import save_facebook_model

    file = folder / "fasttext.bin"
    save_facebook_model(model, str(file))
    return file


def unit(rows: Iterable[Any]) -> torch.Tensor:
    table = torch.tensor(np.array(list(rows)), dtype=torch.float64)
    return (table / table.norm(dim=1, keepdim=True)).float()
