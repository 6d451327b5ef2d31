"""BiAM: regions that attend to each other and know of the scene; a label takes the mean of its best six."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from zerotag.losses import hinge_rank
from zerotag.models.base import FeatureMaps, TaggingModel, register
from zerotag.models.layers import GlobalFeature, regions, scored_in_blocks


class ConvReluNorm(nn.Sequential):
    """3x3 convolution, ReLU and BatchNorm in the order of the authors' code."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(width, eps=1e-3, momentum=0.99)
        )


class RegionContext(nn.Module):
    """Region contextualized block: attention with several heads over the regions, then two layers for each region."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        self.feed_forward = nn.Sequential(nn.Linear(width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def forward(self, h: Float[Tensor, "b r e"]) -> Float[Tensor, "b r e"]:
        """Regions that have heard from each other."""
        q, k, v = (
            one(h).unflatten(2, (self.num_heads, -1)).transpose(1, 2) for one in (self.query, self.key, self.value)
        )
        dropout = 0.1 if self.training else 0.0
        heard = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout).transpose(1, 2).flatten(2)
        h = h + F.dropout(self.output(heard), 0.1, self.training)
        enriched: Tensor = h + self.feed_forward(h)
        return enriched


class SceneContext(nn.Module):
    """Scene contextualized block: channels of the regions gated by what the global feature and their own mean say."""

    def __init__(self, width: int, global_channels: int) -> None:
        super().__init__()
        self.channel = nn.Conv2d(width, width, 1)
        self.scene = nn.Sequential(nn.Dropout(0.2), nn.Linear(global_channels, width))
        self.feed_forward = ConvReluNorm(width, width)

    def forward(self, h: Float[Tensor, "b e g g"], scene: Float[Tensor, "b s"]) -> Float[Tensor, "b e g g"]:
        """Regions that know of the scene."""
        value = F.leaky_relu(self.channel(h), 0.2)
        gate = (value.mean((2, 3)) * self.scene(scene)).sigmoid()
        gated = gate[:, :, None, None] * value
        enriched: Tensor = gated + self.feed_forward(gated)
        return enriched


@register("biam")
class BiAM(TaggingModel):
    """Discriminative Region-based Multi-Label Zero-Shot Learning, Narayan et al., ICCV 2021.

    A 3x3 convolution gives region features. One branch lets regions attend to each other, the other gates their
    channels by the scene; both are joined by a 1x1 convolution with LeakyReLU to e_r. A label's classifier is
    W v_c + b, its match with a region ⟨e_r, W v_c + b⟩, its score the mean of the six best matches. Loss: hinge rank.
    Details are those of the authors' code. S holds Wᵀe_r, and ⟨e_r, b⟩ as a last number.

    The global feature is the last hidden layer of the backbone's classifier, for VGG19 4096 activations as in the
    paper.

    Args:
        channels: number of channels of the backbone's maps by stride.
        vector_dim: length D of a label vector.
        strides: of the maps that are read.
        grid: side to which they are brought; its cells are the regions.
        width: channels of the two branches.
        joined: channels of e_r.
        num_heads: of the attention.
        best_regions: how many matches are averaged.
    """

    has_heat_maps = True

    def __init__(
        self,
        channels: dict[int, int],
        vector_dim: int,
        *,
        strides: Sequence[int] = (16,),
        grid: int = 14,
        width: int = 256,
        joined: int = 512,
        num_heads: int = 8,
        best_regions: int = 6,
    ) -> None:
        super().__init__(channels, vector_dim)
        self.strides, self.grid, self.best_regions = tuple(strides), grid, best_regions
        self.convolution = ConvReluNorm(sum(channels[stride] for stride in strides), width)
        self.region_context = RegionContext(width, num_heads)
        self.feature = GlobalFeature(channels)
        self.strides_read = (*self.strides, self.feature.stride)
        self.scene_context = SceneContext(width, self.feature.width)
        self.join = nn.Linear(2 * width, joined)
        self.classifier = nn.Linear(vector_dim, joined)

    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b r e"]:
        """One vector a region, and its match with the classifiers' offset."""
        h = self.convolution(regions(feature_maps, self.strides, self.grid))
        from_regions = self.region_context(h.flatten(2).transpose(1, 2))
        from_scene = self.scene_context(h, self.feature(feature_maps)).flatten(2).transpose(1, 2)
        joined = F.leaky_relu(self.join(torch.cat([from_regions, from_scene], 2)), 0.2)
        return joined @ torch.cat([self.classifier.weight, self.classifier.bias[:, None]], 1)

    def score(self, S: Float[Tensor, "b r e"], W: Float[Tensor, "c d"]) -> Float[Tensor, "b c"]:
        """The mean of each label's best matches."""
        number = min(self.best_regions, S.shape[1])
        return scored_in_blocks(
            lambda block: self._matches(S, block).topk(number, dim=1).values.mean(1), W, S.shape[0] * S.shape[1]
        )

    def loss(
        self, output: Float[Tensor, "b r e"], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """The mean over the batch."""
        return hinge_rank(self.score(output, W), positives).mean()

    def position_scores(self, feature_maps: FeatureMaps, W: Float[Tensor, "*b c d"]) -> Float[Tensor, "b c h w"]:
        """The matches of each label's best regions, each by their number; nothing elsewhere."""
        matches = self._matches(self.embed(feature_maps), W)
        best = matches.topk(min(self.best_regions, matches.shape[1]), dim=1)
        heat = torch.zeros_like(matches).scatter_(1, best.indices, best.values / best.values.shape[1])
        return heat.transpose(1, 2).unflatten(2, (self.grid, -1))

    def _matches(self, S: Float[Tensor, "b r e"], W: Float[Tensor, "*b c d"]) -> Float[Tensor, "b r c"]:
        return S[..., :-1] @ W.mT + S[..., -1:]
