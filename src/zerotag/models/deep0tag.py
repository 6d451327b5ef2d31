"""Deep0Tag: an image is a bag of windows, each mapped into the space of label vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from zerotag.losses import ranknet
from zerotag.models.base import FeatureMaps, TaggingModel, register


@register("deep0tag")
class Deep0Tag(TaggingModel):
    """Deep0Tag: Deep Multiple Instance Learning for Zero-Shot Image Tagging, Rahman, Khan and Barnes, TMM 2019.

    Instances of the image are mapped to vectors and pooled, by maximum or mean, into S, one vector a bag; the score
    is a dot product, the loss softplus(s_q − s_p) over pairs of a negative and a positive label.

    Departures: instances are windows of several sizes at all places of the deepest map, averaged, where the paper has
    the proposals of a detector; two layers follow, where it has those of VGG19.

    Args:
        channels: number of channels of the backbone's maps by stride.
        vector_dim: length D of a label vector.
        windows: sides of the windows, in cells of the stride-32 map.
        hidden: width of the layer before the vectors.
        pooling: over instances, "max" for each number by itself, or "mean".
        dropout: probability of dropping a hidden unit.
    """

    has_heat_maps = True

    def __init__(
        self,
        channels: dict[int, int],
        vector_dim: int,
        *,
        windows: Sequence[int] = (1, 2, 4, 7),
        hidden: int = 1024,
        pooling: Literal["max", "mean"] = "max",
        dropout: float = 0.3,
    ) -> None:
        super().__init__(channels, vector_dim)
        self.windows, self.pooling = tuple(windows), pooling
        self.strides_read = (32,)
        self.network = nn.Sequential(
            nn.Linear(channels[32], hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, vector_dim)
        )

    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b 1 d"]:
        """The vector of the bag."""
        instances = torch.cat(list(self._instances(feature_maps[32]).values()), 1)
        return instances.amax(1, keepdim=True) if self.pooling == "max" else instances.mean(1, keepdim=True)

    def loss(
        self, output: Float[Tensor, "b 1 d"], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """The mean over the batch."""
        return ranknet(self.score(output, W), positives).mean()

    def position_scores(self, feature_maps: FeatureMaps, W: Float[Tensor, "*b c d"]) -> Float[Tensor, "b c h w"]:
        """What each window gives to the score of each label, spread evenly over the window."""
        height, width = feature_maps[32].shape[2:]
        by_window = self._instances(feature_maps[32])
        instances = torch.cat(list(by_window.values()), 1)
        if self.pooling == "max":
            best = instances.argmax(1, keepdim=True)
            parts = torch.zeros_like(instances).scatter_(1, best, instances.gather(1, best))
        else:
            parts = instances / instances.shape[1]
        heat = instances.new_zeros(len(instances) * W.shape[-2], 1, height, width)
        numbers = [one.shape[1] for one in by_window.values()]
        for k, part in zip(by_window, parts.split(numbers, 1), strict=True):
            given = (part @ W.mT).transpose(1, 2).reshape(len(heat), 1, height - k + 1, width - k + 1)
            heat = heat + F.conv_transpose2d(given, torch.full((1, 1, k, k), 1 / k**2).to(heat))
        return heat.view(len(instances), -1, height, width)

    def _instances(self, deepest: Float[Tensor, "b c h w"]) -> dict[int, Float[Tensor, "b _p d"]]:
        """The vectors of all windows, by the side of the window; windows that do not fit into the map are left out."""
        return {
            k: self.network(F.avg_pool2d(deepest, k, stride=1).flatten(2).transpose(1, 2))
            for k in self.windows
            if k <= min(deepest.shape[2:])
        }
