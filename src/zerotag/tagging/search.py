"""Pictures found by words that nobody set up: from the semantic vectors of the catalogue alone.

A word's scores are taken against their spread over the folder, so that words are on one scale; several words are added,
unwanted ones taken away where they stick out. A picture resembles another as far as the best cosines of their vectors
go, on the mean. Models whose score is the best inner product are searched in bytes first, one a number, and the best
candidates are scored exactly; all others are scored exactly throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from zerotag.errors import ZerotagError
from zerotag.models import TaggingModel
from zerotag.tagging.catalogue import Catalogue
from zerotag.tagging.tagger import Picture, Tagger
from zerotag.training.network import scores_of

CANDIDATES_FOR_ONE, FEWEST_CANDIDATES = 4, 200
LARGEST = 127
PICTURES_AT_ONCE = 1024


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
            ZerotagError: nothing is looked for, or a word is blank.
        """
        words = [word.strip() for word in words]
        wanted = tuple(word for word in words if not word.startswith("-"))
        unwanted = tuple(word[1:].strip() for word in words if word.startswith("-"))
        if not all((*wanted, *unwanted)):
            raise ZerotagError("a word to look for is blank; leave it out, or write the word")
        if not wanted and not like:
            raise ZerotagError("nothing is looked for; give a word that pictures should show, or a picture with --like")
        return cls(wanted, unwanted, tuple(like))


@dataclass(frozen=True)
class Match:
    """A picture that was found, and how far it sticks out of the folder, in standard deviations."""

    path: str
    match: float


class Index:
    """The vectors of a catalogue in memory, read again when a search finds the catalogue changed.

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
        with catalogue.snapshot() as self.version:
            self._read()

    def _read(self) -> None:
        number, (n, e) = self.catalogue.number_of_pictures(self.model), self.tagger.vectors_shape
        if not number:
            raise ZerotagError(f"{self.catalogue.path} has no pictures of this model; run: zerotag tag RUN FOLDER")
        paths: list[str] = []
        self.S = torch.empty(number, n, e, dtype=torch.int8 if self.is_coarse else torch.float16)
        self.scales, self.norms = torch.ones(number, n), torch.empty(number, n)
        for names, S in self.catalogue.pictures(self.model):
            rows, block = slice(len(paths), len(paths) + len(names)), torch.from_numpy(S.astype(np.float32))
            self.norms[rows] = block.norm(dim=-1).clamp_min(1e-6)
            if self.is_coarse:
                self.S[rows], self.scales[rows] = _in_bytes(block)
            else:
                self.S[rows] = block
            paths += names
        self.paths = np.array(paths)

    def search(self, query: Query, *, top: int = 50) -> list[Match]:
        """The pictures that match best, best first.

        Raises:
            BadPictureError: a picture to resemble cannot be decoded.
            ZerotagError: a word has no vector, or the catalogue no pictures of this model any more.
        """
        words = list(dict.fromkeys((*query.words, *query.unwanted)))
        W = self.tagger.vocabulary(words).W if words else None
        like = F.normalize(self.tagger.embed(query.like), dim=-1) if query.like else None
        weights = np.array([1.0 if word in query.words else -1.0 for word in words] + [1.0] * len(query.like))
        with self.catalogue.snapshot() as version:
            if version != self.version:
                self._read()
                self.version = version
            return self._best(W, like, weights, top)

    def _best(self, W: Tensor | None, like: Tensor | None, weights: np.ndarray, top: int) -> list[Match]:
        scores = self._scores(W, like)
        spread = scores.mean(0), scores.std(0) + 1e-9
        match = _matched(scores, *spread, weights)
        number = min(len(match), max(FEWEST_CANDIDATES, CANDIDATES_FOR_ONE * top) if self.is_coarse else top)
        best = np.argpartition(-match, number - 1)[:number]
        if self.is_coarse:
            found = self.catalogue.vectors(self.model, self.paths[best].tolist())
            match[best] = _matched(self._exact(torch.from_numpy(found.astype(np.float32)), W, like), *spread, weights)
        order = best[np.lexsort((self.paths[best], -match[best]))][:top]
        return [Match(str(self.paths[i]), float(match[i])) for i in order]

    def _scores(self, W: Tensor | None, like: Tensor | None) -> Float[np.ndarray, "n c"]:
        """A column a word, and a column a picture to resemble, of all pictures."""
        if not self.is_coarse:
            return np.concatenate([self._exact(block.float(), W, like) for block in self.S.split(PICTURES_AT_ONCE)])
        number, vectors, length = self.S.shape
        if W is not None:
            network = self.tagger.network
            W = network.model.compared(W.to(network.device)).cpu()
        columns = []
        for wanted in (W, None if like is None else like.flatten(0, 1)):
            if wanted is not None:
                codes, scale = _in_bytes(wanted)
                products = torch._int_mm(self.S.view(-1, length), codes.T.contiguous()).view(number, vectors, -1)
                worth = self.scales if wanted is W else self.scales / self.norms
                columns.append((products * worth[..., None]).amax(1).mul_(scale))
        if like is not None:
            columns[-1] = columns[-1].unflatten(1, like.shape[:2]).mean(2)
        return torch.cat(columns, 1).numpy()

    def _exact(self, S: Tensor, W: Tensor | None, like: Tensor | None) -> Float[np.ndarray, "m c"]:
        columns = [] if W is None else [scores_of(self.tagger.network.model, S, W)]
        if like is not None:
            cosine = torch.einsum("mne,lre->mlrn", F.normalize(S, dim=-1), like)
            columns.append(cosine.amax(3).mean(2).numpy())
        return np.concatenate(columns, 1)


def _matched(scores: np.ndarray, mean: np.ndarray, deviation: np.ndarray, weights: np.ndarray) -> np.ndarray:
    z = (scores - mean) / deviation
    z[:, weights < 0] = np.maximum(z[:, weights < 0], 0)
    matched: np.ndarray = z @ weights
    return matched


def _in_bytes(vectors: Float[Tensor, "*b e"]) -> tuple[Tensor, Tensor]:
    """Vectors as signed bytes, and what one of them is worth in each vector."""
    scale = vectors.abs().amax(-1).clamp_min(1e-12) / LARGEST
    return (vectors / scale[..., None]).round().to(torch.int8), scale
