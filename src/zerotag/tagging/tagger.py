"""A trained model put to use: pictures in, labels of one's own choice out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from zerotag.backbones import Backbone
from zerotag.errors import ZerotagError
from zerotag.images import open_picture
from zerotag.labels import LabelSet
from zerotag.tagging.calibration import Calibration, Spread, read_calibration
from zerotag.tagging.words import Vocabulary, Word, WordList, vocabulary_of
from zerotag.training.network import Batch, Network, scores_of
from zerotag.training.prepare import backbone_for, load_network, vectors_for
from zerotag.training.run import load_run
from zerotag.vectors import VectorReport

BATCH_SIZE = 32
Picture = Path | str | Image.Image


@runtime_checkable
class Vectorise(Protocol):
    """Vectors of words as the model's labels have them."""

    def __call__(
        self, words: Sequence[str], /, *, allow_missing: bool = False
    ) -> tuple[Float[Tensor, "c d"], VectorReport]:
        """A row for each word that has one."""


@dataclass(frozen=True)
class Tag:
    """A label of a picture.

    Attributes:
        label: its name.
        score: raw; only good for an order of the labels of one picture.
        seen: whether the model was trained on it.
        confidence: how likely the label is right, in [0, 1]; None where the model was not calibrated.
    """

    label: str
    score: float
    seen: bool
    confidence: float | None = None


class Tagger:
    """Tags pictures with any labels.

    Args:
        network: that embeds and scores.
        backbone: that gives it feature maps, or is part of it.
        labels: that it was trained on, and those that it was tested on without.
        vectorise: gives vectors of words.
        identity: of all that semantic vectors depend on, as plain data.
        calibration: what turns scores into confidences, if there is one.
        name: Of the model, for messages.

    Example:
        >>> tagger = Tagger.load("runs/gbe")  # doctest: +SKIP
        >>> tagger.tag(["beach.jpg"], labels=["sea", "sunset", "dog"])  # doctest: +SKIP
    """

    def __init__(
        self,
        network: Network,
        backbone: Backbone,
        labels: LabelSet,
        vectorise: Vectorise,
        identity: Any,
        calibration: Calibration | None = None,
        name: str = "the model",
    ) -> None:
        self.name = name
        self.network, self.backbone = network, backbone.to(network.device)
        self.labels, self.vectorise, self.calibration = labels, vectorise, calibration
        self.identity = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
        self._seen = frozenset(labels.seen)

    @classmethod
    def load(cls, model: str | Path, *, calibrated: bool = True) -> Tagger:
        """The tagger of a finished run, or of a model that comes along.

        Args:
            model: the folder of a run, or "conse-imagenet" or "open-clip:…".
            calibrated: Whether the calibration of a run is read.

        Raises:
            ZerotagError: there is no such run, or it is not finished.
        """
        from zerotag.tagging import ready_made

        if ready_made.is_name(str(model)):
            return ready_made.load(str(model))
        if not Path(model).exists():
            easy = ", ".join(ready_made.names())
            raise ZerotagError(f"there is no run {model}; train one, or take one that needs no training: {easy}")
        run = load_run(Path(model))
        W, _ = vectors_for(run.settings, run.labels)
        backbone = backbone_for(run.settings)
        network = load_network(run, W, backbone)
        digest = run.weights_digest()
        return cls(
            network,
            backbone,
            run.labels,
            partial(vectors_for, run.settings, run.labels),
            [run.settings.model.model_dump(), digest, backbone.record()],
            read_calibration(run.folder, digest) if calibrated else None,
            str(run.folder),
        )

    def tag(
        self, images: Sequence[Picture], labels: Sequence[str] | WordList | None = None, *, top_k: int = 10
    ) -> list[list[Tag]]:
        """The ``top_k`` best labels of each picture, best first; ties go to the label that comes first.

        Args:
            images: paths, or pictures in memory.
            labels: any words or phrases; all labels that the model knows when left out.
            top_k: how many labels a picture gets.

        Raises:
            BadPictureError: a file cannot be decoded.
            ZerotagError: a label has no vector.
        """
        vocabulary = self.vocabulary(labels)
        return self.rank(self.scores(self.embed(images), vocabulary), vocabulary, top_k=top_k)

    def vocabulary(self, labels: Sequence[str] | WordList | None = None, *, allow_missing: bool = False) -> Vocabulary:
        """Labels with their vectors as those that the model was trained with.

        Raises:
            ZerotagError: a label has no vector, and ``allow_missing`` is not set.
        """
        wanted = self.labels.all if labels is None else labels
        words = wanted if isinstance(wanted, WordList) else WordList(tuple(Word(name=name) for name in wanted))
        return vocabulary_of(words, self.vectorise, allow_missing=allow_missing)

    def embed(self, images: Sequence[Picture]) -> Float[Tensor, "b n e"]:
        """Semantic vectors of pictures: all that is needed to score any label.

        Raises:
            ZerotagError: there are no pictures.
        """
        if not images:
            raise ZerotagError("there are no pictures to tag")
        return self.embed_pixels(np.stack([self.pixels(image) for image in images]))

    def pixels(self, image: Picture) -> UInt8[np.ndarray, "h w 3"]:
        """A picture as the backbone takes it."""
        side = self.backbone.preprocessing.size_px
        opened = image if isinstance(image, Image.Image) else open_picture(Path(image), side_px=side)
        return self.backbone.preprocessing.pixels(opened)

    def embed_pixels(self, pixels: UInt8[np.ndarray, "b h w 3"]) -> Float[Tensor, "b n e"]:
        """The same from pixels, 32 at a time."""
        with torch.inference_mode():
            batches = torch.from_numpy(pixels).split(BATCH_SIZE)
            S = torch.cat([self.network.embed(self._inputs(batch)).cpu() for batch in batches])
        self._check_finite(torch.isfinite(S).all(), "semantic vectors")
        return S

    @cached_property
    def vectors_shape(self) -> tuple[int, int]:
        """How many semantic vectors a picture has, and how long they are."""
        side = self.backbone.preprocessing.size_px
        _, number, length = self.embed_pixels(np.zeros((1, side, side, 3), np.uint8)).shape
        return number, length

    def scores(self, S: Float[Tensor, "b n e"], vocabulary: Vocabulary) -> Float[np.ndarray, "b c"]:
        """Raw scores of each label, the best of its own and its aliases'."""
        found = vocabulary.of_labels(scores_of(self.network.model, S, vocabulary.W))
        self._check_finite(np.isfinite(found).all(), "scores")
        return found

    def confidences(
        self, scores: Float[np.ndarray, "b c"], vocabulary: Vocabulary, spread: Spread | None = None
    ) -> Float[np.ndarray, "b c"] | None:
        """How likely each label is right, where the model was calibrated.

        Args:
            scores: raw ones.
            vocabulary: the labels.
            spread: of their scores over the folder; over the pictures of the calibration when left out.
        """
        if self.calibration is None:
            return None
        return self.calibration.confidences(scores, vocabulary.names, spread or self.reference_spread(vocabulary))

    def reference_spread(self, vocabulary: Vocabulary) -> Spread:
        """The spread of each label's scores over the pictures of the calibration, which the tagger must have."""
        assert self.calibration is not None
        try:
            return Spread(len(vocabulary.names)).add(self.scores(self.calibration.reference, vocabulary))
        except RuntimeError as error:
            raise ZerotagError(
                f"the calibration of {self.name} was made for another model ({str(error).splitlines()[0]}); "
                f"run: zerotag calibrate {self.name}"
            ) from error

    def rank(
        self,
        scores: Float[np.ndarray, "b c"],
        vocabulary: Vocabulary,
        *,
        top_k: int,
        confidences: Float[np.ndarray, "b c"] | None = None,
    ) -> list[list[Tag]]:
        """The best labels of each picture, by confidence where there are confidences, else by score."""
        order = scores if confidences is None else confidences
        best = np.argsort(-order, axis=1, kind="stable")[:, :top_k]
        names = vocabulary.names
        return [
            [
                Tag(
                    names[c],
                    float(scores[row, c]),
                    names[c] in self._seen,
                    None if confidences is None else float(confidences[row, c]),
                )
                for c in chosen
            ]
            for row, chosen in enumerate(best.tolist())
        ]

    def require_heat_maps(self) -> None:
        """Raise where the model keeps no positions.

        Raises:
            ZerotagError: it does not.
        """
        if not (model := self.network.model).has_heat_maps:
            raise ZerotagError(f"{type(model).__name__} has no heat maps: it keeps no positions of the picture")

    def heat_maps(self, image: Picture, labels: Sequence[str]) -> Float[np.ndarray, "c h w"]:
        """What each position of the picture gives to each label's score.

        Raises:
            ZerotagError: the model keeps no positions.
        """
        return self.heat_maps_of_pixels(self.pixels(image)[None], labels)[0]

    def heat_maps_of_pixels(
        self, pixels: UInt8[np.ndarray, "b h w 3"], labels: Sequence[str]
    ) -> Float[np.ndarray, "b c y x"]:
        """The same of several pictures as the backbone takes them."""
        batch = self._inputs(torch.from_numpy(pixels))
        found = self.network.position_scores(batch, self.vocabulary(labels).W).cpu().numpy()
        self._check_finite(np.isfinite(found).all(), "heat maps")
        return found

    def _check_finite(self, finite: Any, what: str) -> None:
        if not finite:
            raise ZerotagError(
                f"{self.name} gives {what} that are no numbers, so its weights are damaged or its training went wrong; "
                "train it again, with a lower optimiser.learning_rate, or take another model"
            )

    def _inputs(self, pixels: UInt8[Tensor, "b h w 3"]) -> Batch:
        """Pixels for a network with a backbone of its own, feature maps for others."""
        batch = pixels.to(self.network.device)
        return batch if self.network.backbone is not None else self.backbone(batch)
