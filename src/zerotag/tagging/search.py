"""Pictures found by words that nobody set up: from the semantic vectors of the catalogue alone.

A word's scores are taken against their spread over the folder, so that words are on one scale; several words are added,
unwanted ones taken away where they stick out. Models whose score is the best inner product are searched in bytes first,
one a number, and the best candidates are scored exactly; all others are scored exactly throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from zerotag.errors import ZerotagError
from zerotag.models import TaggingModel
from zerotag.tagging.catalogue import Catalogue
from zerotag.tagging.tagger import Picture, Tagger
from zerotag.training.network import scores_of

CANDIDATES_FOR_ONE, FEWEST_CANDIDATES = 4, 200
LARGEST = 127


@dataclass(frozen=True)
class Query:
    """What is looked for.

    Attributes:
        words: that pictures should show.
        unwanted: that they should not.
        like: pictures that they should resemble.
    """

    words: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    like: tuple[Picture, ...] = ()

    @classmethod
    def of(cls, words: Sequence[str], like: Sequence[Picture] = ()) -> Query:
        """A query from words, of which unwanted ones begin with a minus sign.

        Raises:
            ZerotagError: nothing is looked for.
        """
        wanted = tuple(word.strip() for word in words if not word.startswith("-"))
        unwanted = tuple(word[1:].strip() for word in words if word.startswith("-"))
        if not wanted and not like:
            raise ZerotagError("nothing is looked for; give a word that pictures should show, or a picture with --like")
        return cls(wanted, unwanted, tuple(like))


@dataclass(frozen=True)
class Match:
    """A picture that was found, and how far it sticks out of the folder, in standard deviations."""

    path: str
    match: float


class Index:
    """The vectors of a catalogue in memory.

    Memory: a byte a number for models whose score is the best inner product (6.6 kB a picture for 17 vectors of 384),
    two for others.

    Args:
        catalogue: it is read from, and asked again for the vectors of candidates.
        tagger: whose vectors they are.

    Raises:
        ZerotagError: the catalogue has no vectors of this model.
    """

    def __init__(self, catalogue: Catalogue, tagger: Tagger) -> None:
        self.catalogue, self.tagger = catalogue, tagger
        self.model = catalogue.model(tagger.identity, tagger.vectors_shape)
        self.is_coarse = type(tagger.network.model).score is TaggingModel.score
        paths: list[str] = []
        blocks: list[Tensor] = []
        scales: list[Tensor] = []
        for names, S in catalogue.pictures(self.model):
            paths += names
            block = torch.from_numpy(S.astype(np.float16))
            if self.is_coarse:
                block, scale = _in_bytes(block.float())
                scales.append(scale)
            blocks.append(block)
        if not paths:
            raise ZerotagError(f"{catalogue.path} has no pictures of this model; run: zerotag tag RUN FOLDER")
        self.paths = np.array(paths)
        self.S = torch.cat(blocks)
        self.scales = torch.cat(scales) if scales else None

    def search(self, query: Query, *, top: int = 50) -> list[Match]:
        """The pictures that match best, best first.

        Raises:
            BadPictureError: a picture to resemble cannot be decoded.
            ZerotagError: a word has no vector.
        """
        W, weights = self._wanted(query)
        scores = self._scores(W)
        mean, deviation = scores.mean(0), scores.std(0) + 1e-9
        match = _matched(scores, mean, deviation, weights)
        number = min(len(match), max(FEWEST_CANDIDATES, CANDIDATES_FOR_ONE * top) if self.is_coarse else top)
        best = np.argpartition(-match, number - 1)[:number]
        if self.is_coarse:
            match[best] = _matched(self._exact(best, W), mean, deviation, weights)
        order = best[np.lexsort((self.paths[best], -match[best]))][:top]
        return [Match(str(self.paths[i]), float(match[i])) for i in order]

    def _wanted(self, query: Query) -> tuple[Float[Tensor, "c d"], Float[np.ndarray, " c"]]:
        """Vectors of all that counts, and what each counts: unwanted words less than nothing."""
        rows, weights = [], []
        if words := (*query.words, *query.unwanted):
            rows.append(self.tagger.vocabulary(list(dict.fromkeys(words))).W)
            weights += [1.0 if word in query.words else -1.0 for word in dict.fromkeys(words)]
        if query.like:
            S = self.tagger.embed(query.like)
            rows.append(S.flatten(0, 1))
            weights += [len(query.like) / len(rows[-1])] * len(rows[-1])
        return torch.cat(rows), np.array(weights, np.float32)

    def _scores(self, W: Float[Tensor, "c d"]) -> Float[np.ndarray, "n c"]:
        if self.scales is None:
            return scores_of(self.tagger.network.model, self.S.float(), W)
        codes, scale = _in_bytes(W)
        number, vectors, length = self.S.shape
        products = torch._int_mm(self.S.view(-1, length), codes.T.contiguous()).view(number, vectors, -1)
        return (products * self.scales[..., None]).amax(1).mul_(scale).numpy()

    def _exact(self, rows: np.ndarray, W: Float[Tensor, "c d"]) -> Float[np.ndarray, "m c"]:
        found = self.catalogue.vectors(self.model, self.paths[rows].tolist())
        return scores_of(self.tagger.network.model, torch.from_numpy(found.astype(np.float32)), W)


def _matched(scores: np.ndarray, mean: np.ndarray, deviation: np.ndarray, weights: np.ndarray) -> np.ndarray:
    z = (scores - mean) / deviation
    z[:, weights < 0] = np.maximum(z[:, weights < 0], 0)
    matched: np.ndarray = z @ weights
    return matched


def _in_bytes(vectors: Float[Tensor, "*b e"]) -> tuple[Tensor, Tensor]:
    """Vectors as signed bytes, and what one of them is worth in each vector."""
    scale = vectors.abs().amax(-1).clamp_min(1e-12) / LARGEST
    return (vectors / scale[..., None]).round().to(torch.int8), scale
