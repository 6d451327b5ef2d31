"""What every method is: an ``embed`` and a ``score``.

An image is embedded once into a few semantic vectors S; any label, in training or never heard of, is a vector; the
label's score is a small function of the two. So adding a label needs no second pass over the pictures.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from zerotag.errors import ZerotagError

FeatureMaps = dict[int, Tensor]
MODELS: dict[str, type[TaggingModel]] = {}
ModelClass = TypeVar("ModelClass", bound="type[TaggingModel]")
SAME_VECTOR = 1e-4


class TaggingModel(nn.Module, ABC):
    """A map from feature maps to semantic vectors, and a rule that scores labels against them.

    Args:
        channels: number of channels of the backbone's maps by stride: 8, 16, 32, and ``WHOLE`` for the feature of the
            whole picture; or some of them.
        vector_dim: length D of a label vector.

    Attributes:
        strides_read: of the maps that the method reads, others need not be loaded; all, where it does not say.
    """

    has_heat_maps: ClassVar[bool] = False
    settings: ClassVar[tuple[str, ...]] = ("zsl", "gzsl", "multilabel")

    def __init__(self, channels: dict[int, int], vector_dim: int) -> None:
        super().__init__()
        self.channels, self.vector_dim = channels, vector_dim
        self.strides_read = tuple(channels)

    def meet_labels(self, W: Float[Tensor, "c d"]) -> None:
        """Told once, before training, of the vectors of the labels that are trained.

        A method that lays out weights by these labels overrides this, and keeps ``W`` as its buffer
        ``label_vectors``, so that saved weights know what they belong to.
        """

    def forward(self, feature_maps: FeatureMaps) -> Float[Tensor, "b ..."]:
        """What the loss is made from: the semantic vectors, where a method does not say otherwise."""
        return self.embed(feature_maps)

    @abstractmethod
    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b n d"]:
        """Semantic vectors of a batch, from maps by stride, each [b, c, h, w]."""

    def score(self, S: Float[Tensor, "b n d"], W: Float[Tensor, "c d"]) -> Float[Tensor, "b c"]:
        """Score of each label: the best match among the semantic vectors, max_r ⟨S_r, v_c⟩ (GBE-MLZSL eq. 13)."""
        return (S @ self.compared(W).T).amax(1)

    def compared(self, W: Float[Tensor, "*b c d"]) -> Float[Tensor, "*b c d"]:
        """What of label vectors semantic vectors are compared with: all, where a method does not say otherwise."""
        return W

    @abstractmethod
    def loss(
        self, output: Float[Tensor, "b ..."], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """Mean training loss of a batch over the trained labels with vectors ``W``, from what ``forward`` gave."""

    def position_scores(self, feature_maps: FeatureMaps, W: Float[Tensor, "*b c d"]) -> Float[Tensor, "b c h w"]:
        """What each position of the picture gives to each label's score: the heat map before pooling.

        Args:
            feature_maps: by stride.
            W: vectors of the labels, the same for all pictures or of each picture's own.

        Raises:
            ZerotagError: the method pools positions away before it knows of labels.
        """
        raise ZerotagError(f"{type(self).__name__} has no heat maps: it keeps no positions of the picture")


class ClosedSetModel(TaggingModel):
    """A method with a fixed set of labels, told apart by their vectors; it can be asked for no other label."""

    settings = ("multilabel",)
    label_vectors: Tensor

    def meet_labels(self, W: Float[Tensor, "c d"]) -> None:
        """Take ``W`` as the labels of this model; a subclass adds the weights that belong to them."""
        self.register_buffer("label_vectors", W.clone())

    @abstractmethod
    def logits(self, S: Float[Tensor, "b n e"]) -> Float[Tensor, "b k"]:
        """Scores of all trained labels."""

    def score(self, S: Float[Tensor, "b n e"], W: Float[Tensor, "c d"]) -> Float[Tensor, "b c"]:
        """Score of each label, which must be one of those trained.

        Raises:
            ZerotagError: a label was not trained.
        """
        if not hasattr(self, "label_vectors"):
            raise ZerotagError(f"{type(self).__name__} has a fixed set of labels; tell it with model.meet_labels(W)")
        # the other modes of computing lose the digits by which a vector is known again
        distance, column = torch.cdist(W, self.label_vectors, compute_mode="donot_use_mm_for_euclid_dist").min(1)
        if unknown := (distance > SAME_VECTOR).nonzero()[:, 0].tolist():
            raise ZerotagError(
                f"{type(self).__name__} ranks only the labels it was trained on, and {len(unknown)} of {len(W)} labels "
                f"are others, the first one number {unknown[0] + 1}; a zero-shot model, such as gbe, takes any label"
            )
        return self.logits(S)[:, column]


def register(name: str) -> Callable[[ModelClass], ModelClass]:
    """Class decorator that makes a model known under ``name``."""

    def add(model: ModelClass) -> ModelClass:
        MODELS[name] = model
        return model

    return add
