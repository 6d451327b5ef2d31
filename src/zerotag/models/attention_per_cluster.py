"""Attention per cluster: labels of like meaning share an attention over regions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from zerotag.losses import hinge_rank
from zerotag.models.base import FeatureMaps, TaggingModel, register
from zerotag.models.layers import LesaRegions, RegionAttention


@register("attention_per_cluster")
class AttentionPerCluster(TaggingModel):
    """One attention for each cluster of labels, a baseline of LESA (Huynh and Elhamifar, CVPR 2020).

    The vectors of the trained labels fall into M clusters (k-means). Each cluster has an attention over the regions,
    which gives it a vector S_m; a label, in training or never heard of, is scored with the one of the cluster whose
    centre is nearest. Loss: hinge rank.

    Args:
        channels: number of channels of the backbone's maps by stride.
        vector_dim: length D of a label vector.
        num_clusters: M, or the number of labels when that is smaller.
        strides: of the maps that are read.
        grid: side to which they are brought; its cells are the regions.
        width: channels of the region features.
    """

    has_heat_maps = True
    centres: Tensor

    def __init__(
        self,
        channels: dict[int, int],
        vector_dim: int,
        *,
        num_clusters: int = 10,
        strides: Sequence[int] = (16,),
        grid: int = 14,
        width: int = 512,
    ) -> None:
        super().__init__(channels, vector_dim)
        self.num_clusters = num_clusters
        self.regions = LesaRegions(channels, strides, grid, width)
        self.strides_read = self.regions.strides
        self.attention = RegionAttention(width, num_clusters)
        self.projection = nn.Linear(width, vector_dim, bias=False)
        self.register_buffer("centres", torch.zeros(num_clusters, vector_dim))

    def meet_labels(self, W: Float[Tensor, "c d"]) -> None:
        """Find the clusters of ``W``."""
        from sklearn.cluster import KMeans

        number = min(self.num_clusters, len(W))
        found = KMeans(number, n_init=10, random_state=0).fit(W.cpu().double().numpy())
        centres = torch.from_numpy(found.cluster_centers_)
        # a surplus attention repeats a centre, which is then never the first of the nearest
        self.centres.copy_(centres[torch.arange(self.num_clusters) % number])

    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b m d"]:
        """The vector of each cluster's attention."""
        h = self.regions(feature_maps)
        vectors: Tensor = self.projection(self.attention(h).softmax(2) @ h)
        return vectors

    def score(self, S: Float[Tensor, "b m d"], W: Float[Tensor, "c d"]) -> Float[Tensor, "b c"]:
        """⟨S_m, v_c⟩ with the cluster m of label c."""
        return (S @ W.T).gather(1, self.cluster(W).expand(len(S), 1, -1))[:, 0]

    def cluster(self, W: Float[Tensor, "*b c d"]) -> Int[Tensor, "*b c"]:
        """Which centre is nearest to each label."""
        return (self.centres.square().sum(1) - 2 * W @ self.centres.T).argmin(-1)

    def loss(
        self, output: Float[Tensor, "b m d"], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """The mean over the batch."""
        return hinge_rank(self.score(output, W), positives).mean()

    def position_scores(self, feature_maps: FeatureMaps, W: Float[Tensor, "*b c d"]) -> Float[Tensor, "b c h w"]:
        """What each region gives to the score of each label, through the attention of its cluster."""
        h = self.regions(feature_maps)
        attention = self.attention(h).softmax(2)
        cluster = self.cluster(W).expand(len(h), -1)
        attention = attention.gather(1, cluster[..., None].expand(-1, -1, attention.shape[2]))
        matches = self.projection(h) @ W.mT
        return (attention * matches.transpose(1, 2)).unflatten(2, (self.regions.grid, -1))
