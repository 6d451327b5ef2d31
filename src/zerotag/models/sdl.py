"""SDL: several principal vectors for each image, and more weight for images whose labels mean different things."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from zerotag.losses import diversity_weight, ranknet, semantic_regulariser
from zerotag.models.base import FeatureMaps, TaggingModel, register
from zerotag.models.layers import GlobalFeature


@register("sdl")
class SDL(TaggingModel):
    """Semantic Diversity Learning for Zero-Shot Multi-label Classification, Ben-Cohen et al., ICCV 2021.

    A linear map of the global feature gives k principal vectors, s_c = max_r ⟨S_r, v_c⟩. Loss:
    2·((1−λ)·ω·RankNet/|T| + λ·‖var(S)‖₁) with ω = 1 + the summed variance of the positive label vectors; the factor 2
    is in the authors' code.

    Args:
        channels: number of channels of the backbone's maps by stride.
        vector_dim: length D of a label vector.
        num_vectors: k, 7 for NUS-WIDE in the paper.
        regularisation: λ, 0.01 in the authors' code.
    """

    def __init__(
        self,
        channels: dict[int, int],
        vector_dim: int,
        *,
        num_vectors: int = 7,
        regularisation: float = 0.01,
    ) -> None:
        super().__init__(channels, vector_dim)
        self.regularisation = regularisation
        self.feature = GlobalFeature(channels)
        self.strides_read = (self.feature.stride,)
        self.projection = nn.Linear(self.feature.width, num_vectors * vector_dim, bias=False)

    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b n d"]:
        """The principal vectors of each image."""
        vectors: Tensor = self.projection(self.feature(feature_maps))
        return vectors.unflatten(1, (-1, self.vector_dim))

    def loss(
        self, output: Float[Tensor, "b n d"], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """The mean over the batch."""
        rank = ranknet(self.score(output, W), positives, "positives", diversity_weight(positives, W))
        return 2 * ((1 - self.regularisation) * rank + self.regularisation * semantic_regulariser(output)).mean()
