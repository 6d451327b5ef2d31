"""Tags of the pictures in a catalogue: any words, scored from the vectors that are kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from zerotag.errors import ZerotagError
from zerotag.tagging.calibration import Spread
from zerotag.tagging.catalogue import Catalogue
from zerotag.tagging.tagger import Tag, Tagger
from zerotag.tagging.words import Vocabulary

TOP_K = 10
BINS = 1000


@dataclass(frozen=True)
class Rule:
    """Which labels a picture is given.

    Attributes:
        top_k: at most as many.
        min_confidence: none that is less likely right; a label's own threshold goes before it.
        precision: the share of labels that is to be right, over the whole folder.
    """

    top_k: int = TOP_K
    min_confidence: float | None = None
    precision: float | None = None

    def check(self, tagger: Tagger, vocabulary: Vocabulary) -> None:
        """See that the model can follow the rule.

        Raises:
            ZerotagError: the rule, or a label's threshold, is about confidences, and the model was not calibrated.
        """
        thresholds = (self.min_confidence, self.precision, *(word.threshold for word in vocabulary.words.words))
        if tagger.calibration is None and any(threshold is not None for threshold in thresholds):
            raise ZerotagError(
                "thresholds are confidences, and this model was not calibrated, so its scores are good for an order "
                "alone; run: zerotag calibrate RUN DATA"
            )


class FolderTags:
    """Tags of the pictures of a catalogue; what depends on the whole folder is looked at first.

    Memory: the scores of 256 pictures, and three numbers a label.

    Raises:
        ZerotagError: the rule, or a label's threshold, asks for confidences and the model was not calibrated.
    """

    def __init__(self, catalogue: Catalogue, tagger: Tagger, vocabulary: Vocabulary, rule: Rule) -> None:
        self.catalogue, self.tagger, self.vocabulary, self.rule = catalogue, tagger, vocabulary, rule
        rule.check(tagger, vocabulary)
        self.model = catalogue.model(tagger.identity, tagger.vectors_shape)
        thresholds = [word.threshold for word in vocabulary.words.words]
        self.is_calibrated = tagger.calibration is not None
        self.spread = self._spread() if self.is_calibrated else None
        common = rule.min_confidence or 0.0
        if rule.precision is not None:
            common = max(common, self._reaching(rule.precision))
        self.thresholds = np.array([common if t is None else t for t in thresholds], np.float32)

    def __iter__(self) -> Iterator[tuple[str, list[Tag]]]:
        """Each picture's path and its tags, best first, in the order of the paths."""
        return self.of()

    def of(self, paths: Sequence[str] | None = None) -> Iterator[tuple[str, list[Tag]]]:
        """The same of some pictures."""
        for names, scores, confidences in self._scored(paths):
            ranked = self.tagger.rank(scores, self.vocabulary, top_k=self.rule.top_k, confidences=confidences)
            for row, (name, tags) in enumerate(zip(names, ranked, strict=True)):
                if confidences is not None:
                    given = confidences[row] >= self.thresholds
                    allowed = {self.vocabulary.names[c] for c in np.flatnonzero(given)}
                    tags = [tag for tag in tags if tag.label in allowed]
                yield name, tags

    def _scored(
        self, paths: Sequence[str] | None = None
    ) -> Iterator[tuple[list[str], Float[np.ndarray, "b c"], Float[np.ndarray, "b c"] | None]]:
        for names, S in self.catalogue.pictures(self.model, paths):
            scores = self.tagger.scores(torch.from_numpy(S.astype(np.float32)), self.vocabulary)
            yield names, scores, self.tagger.confidences(scores, self.vocabulary, self.spread)

    def _spread(self) -> Spread:
        """Over the folder and the pictures of the calibration, since a few pictures would not tell."""
        spread = self.tagger.reference_spread(self.vocabulary)
        for _, S in self.catalogue.pictures(self.model):
            spread.add(self.tagger.scores(torch.from_numpy(S.astype(np.float32)), self.vocabulary))
        return spread

    def _reaching(self, precision: float) -> float:
        """The lowest confidence from which on the mean confidence, and so the expected precision, is as wished."""
        number, total = np.zeros(BINS), np.zeros(BINS)
        for _, _, confidences in self._scored():
            assert confidences is not None
            flat = confidences.ravel()
            place = np.minimum((flat * BINS).astype(int), BINS - 1)
            number += np.bincount(place, minlength=BINS)
            total += np.bincount(place, flat, minlength=BINS)
        mean = total[::-1].cumsum() / np.maximum(number[::-1].cumsum(), 1)
        reached = np.flatnonzero((mean >= precision) & (number[::-1].cumsum() > 0))
        return 1.0 if len(reached) == 0 else (BINS - 1 - int(reached[-1])) / BINS
