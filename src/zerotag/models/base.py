"""What every method is: an ``embed`` and a ``score``.

An image is embedded once into a few semantic vectors S; any label, in training or never heard of, is a vector; the
label's score is a small function of the two. So adding a label needs no second pass over the pictures.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, TypeVar

from jaxtyping import Bool, Float
from torch import Tensor, nn

from zerotag.errors import ZerotagError

FeatureMaps = dict[int, Tensor]
MODELS: dict[str, type[TaggingModel]] = {}
ModelClass = TypeVar("ModelClass", bound="type[TaggingModel]")


class TaggingModel(nn.Module, ABC):
    """A map from feature maps to semantic vectors, and a rule that scores labels against them.

    Args:
        channels: number of channels of the backbone's maps by stride (8, 16, 32).
        vector_dim: length D of a label vector.
    """

    has_heat_maps: ClassVar[bool] = False

    def __init__(self, channels: dict[int, int], vector_dim: int) -> None:
        super().__init__()
        self.channels, self.vector_dim = channels, vector_dim

    @abstractmethod
    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b n d"]:
        """Semantic vectors of a batch, from maps by stride, each [b, c, h, w]."""

    def score(self, S: Float[Tensor, "b n d"], W: Float[Tensor, "c d"]) -> Float[Tensor, "b c"]:
        """Score of each label: the best match among the semantic vectors, max_r ⟨S_r, v_c⟩ (GBE-MLZSL eq. 13)."""
        return (S @ W.T).amax(1)

    @abstractmethod
    def loss(
        self, S: Float[Tensor, "b n d"], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """Mean training loss of a batch over the seen labels with vectors ``W``."""

    def position_scores(self, feature_maps: FeatureMaps, W: Float[Tensor, "c d"]) -> Float[Tensor, "b c h w"]:
        """What each position of the picture gives to each label's score: the heat map before pooling.

        Raises:
            ZerotagError: the method pools positions away before it knows of labels.
        """
        raise ZerotagError(f"{type(self).__name__} has no heat maps: it keeps no positions of the picture")


def register(name: str) -> Callable[[ModelClass], ModelClass]:
    """Class decorator that makes a model known under ``name``."""

    def add(model: ModelClass) -> ModelClass:
        MODELS[name] = model
        return model

    return add
