"""GBE-MLZSL: groups of local features, a global feature, and a graph that joins them."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from zerotag.errors import ZerotagError
from zerotag.losses import gbe_loss
from zerotag.models.base import FeatureMaps, TaggingModel, register
from zerotag.models.layers import GlobalFeature, GroupedLayerNorm, GroupedLinear, attention, resize_to_grid

FIRST_LENGTH = 8.0
SMALLEST_DIRECTION = 1e-4  # of the span, as a share of the largest: a direction below it is rounding


class MultiLayerFusion(nn.Module):
    """ML-FEF: maps of three strides, screened, brought to one grid and multiplied (Fig. 3, eq. 1-3)."""

    def __init__(
        self, channels: dict[int, int], width: int, grid: int, strides: tuple[int, ...], pool_first: bool
    ) -> None:
        super().__init__()
        self.grid, self.strides, self.pool_first = grid, strides, pool_first
        self.screens = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels[s], width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU())
            for s in strides
        )
        self.out_channels = width * len(strides)

    def forward(self, feature_maps: FeatureMaps) -> Float[Tensor, "b c g g"]:
        """F14, F14 ⊙ F7 and F14 ⊙ F28, concatenated; fewer of them where there are fewer strides."""
        # a position's channels side by side, as all that follows wants them, so that nothing is copied on the way
        maps = (feature_maps[stride].contiguous(memory_format=torch.channels_last) for stride in self.strides)
        middle, *others = (
            screen(resize_to_grid(one, self.grid)) if self.pool_first else resize_to_grid(screen(one), self.grid)
            for one, screen in zip(maps, self.screens, strict=True)
        )
        return torch.cat([middle, *(middle * other for other in others)], 1)


class LocalInformationDistinguishing(nn.Module):
    """LID: self-attention over positions within each group, weights of its own for each (eq. 4-6)."""

    def __init__(self, num_groups: int, dim: int, attention_scale: bool) -> None:
        super().__init__()
        self.scale = dim**-0.5 if attention_scale else 1.0
        self.embedding = GroupedLinear(num_groups, dim, dim)
        self.query = GroupedLinear(num_groups, dim, dim)
        self.key = GroupedLinear(num_groups, dim, dim).weight  # the softmax over keys would not heed a bias
        self.value = GroupedLinear(num_groups, dim, dim)
        self.feed_forward = nn.Sequential(
            GroupedLayerNorm(num_groups, dim),
            GroupedLinear(num_groups, dim, dim // 5),
            nn.GELU(),
            GroupedLinear(num_groups, dim // 5, dim),
        )

    def embedded(self, fused: Float[Tensor, "b p f"], grouping: nn.Linear) -> Float[Tensor, "g b p d"]:
        """Eq. 4 of the groups cut out of fused maps."""
        if self.training:  # many positions at once: one product with both maps made one is less work than two
            weight = self.embedding.weight.mT @ grouping.weight.unflatten(0, (len(self.embedding.weight), -1))
            bias = torch.baddbmm(self.embedding.bias, grouping.bias.view_as(self.embedding.bias), self.embedding.weight)
            return _cut(F.linear(fused, weight.flatten(0, 1), bias.flatten()), len(weight))
        groups = _cut(grouping(fused), len(self.embedding.weight))
        return self.embedding(groups.flatten(1, 2)).view_as(groups)

    def forward(self, x: Float[Tensor, "g b p d"]) -> Float[Tensor, "g b p d"]:
        """Every position attends to all others of its own group and image."""
        shape = x.shape
        x = x.flatten(1, 2)
        if self.training:  # q kᵀ = (x Q + b) Kᵀ xᵀ, with Q Kᵀ one map
            q, k = torch.baddbmm(self.query.bias @ self.key.mT, x, self.query.weight @ self.key.mT), x
        else:
            q, k = self.query(x), x @ self.key
        v = self.value(x)
        x = x + attention(q.view(shape), k.view(shape), v.view(shape), self.scale).flatten(1, 2)
        return (x + self.feed_forward(x)).view(shape)


class GlobalEnhancement(nn.Module):
    """GEM: channels of the deepest map weighted by what is in the whole picture (eq. 7-10)."""

    def __init__(
        self, channels: dict[int, int], vector_dim: int, gate: Literal["sigmoid", "none"], whole_picture: bool
    ) -> None:
        super().__init__()
        self.gate = gate
        width, hidden = channels[32], max(1, channels[32] // 16)
        self.channel_mlp = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))
        self.screen = nn.Sequential(nn.Conv2d(width, vector_dim, 1), nn.BatchNorm2d(vector_dim), nn.ReLU())
        self.whole = WholePicture(channels, vector_dim) if whole_picture else None

    def forward(self, feature_maps: FeatureMaps) -> Float[Tensor, "b d"]:
        """The global vector: the maximum over positions of the enhanced map, and the whole picture's share."""
        vector = self._enhanced(feature_maps[32]).amax(1)
        return vector if self.whole is None else vector + self.whole(feature_maps)

    def parts(self, feature_maps: FeatureMaps) -> Float[Tensor, "b q d"]:
        """What each position gives to the global vector; all give the same of the whole picture's share."""
        parts = _at_maximum(self._enhanced(feature_maps[32]), 1)
        return parts if self.whole is None else parts + self.whole(feature_maps)[:, None] / parts.shape[1]

    def _enhanced(self, deepest: Float[Tensor, "b c h w"]) -> Float[Tensor, "b q d"]:
        weight = self.channel_mlp(deepest.mean((2, 3))) + self.channel_mlp(deepest.amax((2, 3)))
        if self.gate == "sigmoid":
            weight = weight.sigmoid()
        enhanced: Tensor = self.screen(deepest * weight[:, :, None, None])
        return enhanced.flatten(2).transpose(1, 2)


class WholePicture(nn.Sequential):
    """A linear map of the feature of the whole picture, half of whose numbers are dropped in training."""

    def __init__(self, channels: dict[int, int], vector_dim: int) -> None:
        feature = GlobalFeature(channels)
        super().__init__(feature, nn.Dropout(0.5), nn.Linear(feature.width, vector_dim))
        self.stride = feature.stride


class GlobalLocalGraph(nn.Module):
    """GLA: a static, fully connected graph over the groups, S = LeakyReLU(A_s V W_s) (eq. 11-12)."""

    def __init__(
        self, num_groups: int, in_dim: int, dim: int, slope: float, start: Literal["random", "identity"]
    ) -> None:
        super().__init__()
        self.slope = slope
        self.affinity = nn.Parameter(torch.empty(num_groups, num_groups))
        self.update = nn.Parameter(torch.empty(in_dim, dim))
        nn.init.xavier_uniform_(self.affinity)
        nn.init.xavier_uniform_(self.update)
        if start == "identity":
            with torch.no_grad():
                self.affinity.mul_(0.1).add_(torch.eye(num_groups))
                self.update.mul_(0.1).add_(torch.eye(dim).repeat(in_dim // dim, 1))

    def forward(self, nodes: Float[Tensor, "b n i"]) -> Float[Tensor, "b n d"]:
        """Semantic vectors: each node hears from all others."""
        return F.leaky_relu(self.affinity @ (nodes @ self.update), self.slope)


@register("gbe")
class GBE(TaggingModel):
    """GBE-MLZSL: A Group Bi-Enhancement Framework for Multi-Label Zero-Shot Learning, Liu et al., 2023.

    Maps of three strides are fused (eq. 1-3) and cut into n groups of D channels; self-attention within each group
    (eq. 4-6) and a maximum over positions give n local vectors; the enhanced deepest map gives a global one
    (eq. 7-10); a graph over the groups joins both into S (eq. 11-12); s_c = max_r ⟨S_r, v_c⟩ (eq. 13). Loss:
    :func:`zerotag.losses.gbe_loss` (eq. 14-17). The defaults are the paper's where it gives a value.

    The switches ``fusion``, ``lid``, ``gem`` and ``graph`` make the rows of Table III: a none of them; b fusion;
    c fusion and lid; d fusion and gem; e fusion, lid and graph; f fusion, gem and graph. Without ``fusion`` the model
    reads the stride-16 map alone; without ``lid`` a group is pooled as it is; without ``graph`` the global vector
    is added to each local one; without ``gem`` there is no global vector.

    Args:
        channels: number of channels of the backbone's maps by stride.
        vector_dim: length D of a label vector.
        num_groups: n.
        fusion_channels: channels of each screened map.
        grid: side to which the maps are brought.
        fusion: multi-layer feature fusion (ML-FEF).
        lid: local information distinguishing module.
        gem: global enhancement module.
        graph: global-local association graph.
        attention_scale: divide attention logits by √D; False is eq. 5 to the letter.
        gem_gate: "sigmoid" on the channel weights, or "none" as eq. 9 is printed.
        whole_picture: add the feature of the whole picture, the last hidden layer of the backbone's classifier, by a
            linear map to the global vector (a departure: it knows what the maps alone do not tell).
        pool_first: bring maps to the grid before they are screened, not after (a departure: less work).
        pooling: over positions, "max" for each channel by itself, or "attention" with one learned query a group
            (a departure: it keeps the channels of one object together).
        graph_start: "random", or "identity" plus a tenth of it (a departure: groups start apart).
        leaky_slope: of eq. 12; 1 leaves the graph linear (a departure).
        within_span: score with that part of a label's vector which the vectors of the trained labels span (a departure:
            the rest meets only what no picture has taught).
        unit_vectors: bring all semantic vectors to one learned length (a departure: scores are cosines times it).
        regularisation: λ of eq. 17.
        normalise: α of eq. 14, "pairs" for 1/(|T||T̄|), "positives" for 1/|T|.
    """

    has_heat_maps = True
    span: Tensor | None

    def __init__(
        self,
        channels: dict[int, int],
        vector_dim: int,
        *,
        num_groups: int = 25,
        fusion_channels: int = 512,
        grid: int = 14,
        fusion: bool = True,
        lid: bool = True,
        gem: bool = True,
        graph: bool = True,
        attention_scale: bool = True,
        gem_gate: Literal["sigmoid", "none"] = "sigmoid",
        whole_picture: bool = False,
        pool_first: bool = False,
        pooling: Literal["max", "attention"] = "max",
        graph_start: Literal["random", "identity"] = "random",
        leaky_slope: float = 0.2,
        within_span: bool = False,
        unit_vectors: bool = False,
        regularisation: float = 0.1,
        normalise: Literal["pairs", "positives"] = "pairs",
    ) -> None:
        super().__init__(channels, vector_dim)
        if num_groups < 1 or grid < 1 or vector_dim < 5:
            raise ZerotagError(
                f"model gbe needs num_groups and grid of at least 1 and label vectors of at least 5 numbers, "
                f"not {num_groups}, {grid} and {vector_dim}"
            )
        self.num_groups, self.grid = num_groups, grid
        self.regularisation, self.normalise = regularisation, normalise
        others = tuple(stride for stride in (32, 8) if fusion and stride in channels)
        self.fusion = MultiLayerFusion(channels, fusion_channels, grid, (16, *others), pool_first)
        self.grouping = nn.Linear(self.fusion.out_channels, num_groups * vector_dim)
        self.lid = LocalInformationDistinguishing(num_groups, vector_dim, attention_scale) if lid else None
        self.query = nn.Parameter(torch.zeros(num_groups, vector_dim)) if pooling == "attention" else None
        self.gem = GlobalEnhancement(channels, vector_dim, gem_gate, whole_picture) if gem else None
        of_gem = () if self.gem is None else (32,) if self.gem.whole is None else (32, self.gem.whole.stride)
        self.strides_read = tuple({*self.fusion.strides, *of_gem})
        node_dim = (2 if gem else 1) * vector_dim
        self.graph = GlobalLocalGraph(num_groups, node_dim, vector_dim, leaky_slope, graph_start) if graph else None
        self.within_span = within_span
        self.register_buffer("span", None)
        self.log_length = nn.Parameter(torch.tensor(FIRST_LENGTH).log()) if unit_vectors else None

    def meet_labels(self, W: Float[Tensor, "c d"]) -> None:
        """Lay out the projection on what the trained labels' vectors ``W`` span."""
        if self.within_span:
            self.span = torch.linalg.pinv(W, rtol=SMALLEST_DIRECTION) @ W

    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b n d"]:
        """Semantic vectors S of eq. 12."""
        fused = self.fusion(feature_maps).flatten(2).transpose(1, 2)
        if self._pools_before_grouping:
            local = self._pooled_before_grouping(fused)
        elif self.query is None:
            local = self._local_maps(fused).amax(2).transpose(0, 1)
        else:
            local_maps = self._local_maps(fused)
            local = (self._attention(local_maps) * local_maps).sum(2).transpose(0, 1)
        nodes = self._nodes(local, None if self.gem is None else self.gem(feature_maps))
        S = self.graph(nodes) if self.graph else nodes.unflatten(-1, (-1, self.vector_dim)).sum(-2)
        return S * self._stretch(S)

    def compared(self, W: Float[Tensor, "*b c d"]) -> Float[Tensor, "*b c d"]:
        """With ``within_span`` the part that the trained labels span, which is all of their own vectors."""
        return W if self.span is None else W @ self.span

    def loss(
        self, output: Float[Tensor, "b n d"], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """Eq. 17, the mean over the batch."""
        return gbe_loss(
            output, self.score(output, W), positives, W, regularisation=self.regularisation, normalise=self.normalise
        )

    def position_scores(self, feature_maps: FeatureMaps, W: Float[Tensor, "*b c d"]) -> Float[Tensor, "b c h w"]:
        """What each position gives to each label's score; summed over positions it is the score.

        Behind the attention within groups the way to the score is linear piece by piece: the winning group of a
        label hears through the graph from every group, and each of these took its numbers from some positions.
        """
        fused = self.fusion(feature_maps).flatten(2).transpose(1, 2)
        local_parts = None if self._pools_before_grouping else self._local_parts(fused)
        local = self._pooled_before_grouping(fused) if local_parts is None else local_parts.sum(2).transpose(0, 1)
        global_parts = None if self.gem is None else self.gem.parts(feature_maps)
        nodes = self._nodes(local, None if global_parts is None else global_parts.sum(1))
        affinity, update, slopes = self._linearised(nodes)
        S = slopes * (affinity @ (nodes @ update))
        stretch, W = self._stretch(S), self.compared(W)
        winner = (S * stretch @ W.mT).argmax(1)
        slopes = (slopes * stretch).gather(1, winner[..., None].expand(-1, -1, self.vector_dim))
        wanted = slopes * W @ update.T
        heard = affinity[winner]
        from_local = wanted[..., : self.vector_dim]
        if local_parts is None:
            heat = self._heat_before_grouping(fused, heard, from_local)
        else:
            heat = torch.einsum("bcn,bcd,nbpd->bcp", heard, from_local, local_parts)
        heat = heat.unflatten(-1, (self.grid, self.grid))
        if global_parts is None:
            return heat
        from_global = torch.einsum("bpd,bcd->bcp", global_parts, wanted[..., self.vector_dim :])
        side = feature_maps[32].shape[-1]
        from_global = (heard.sum(-1, keepdim=True) * from_global).unflatten(-1, (side, side))
        return heat + F.adaptive_avg_pool2d(from_global, self.grid) * (side / self.grid) ** 2

    def _local_maps(self, fused: Float[Tensor, "b p f"]) -> Float[Tensor, "n b p d"]:
        """The groups' features at each position."""
        if self.lid is None:
            return _cut(self.grouping(fused), self.num_groups)
        groups: Tensor = self.lid(self.lid.embedded(fused, self.grouping))
        return groups

    def _local_parts(self, fused: Float[Tensor, "b p f"]) -> Float[Tensor, "n b p d"]:
        """What each position gives to the local vectors."""
        local_maps = self._local_maps(fused)
        return _at_maximum(local_maps, 2) if self.query is None else self._attention(local_maps) * local_maps

    @property
    def _pools_before_grouping(self) -> bool:
        """Attention pooling without LID: the grouping is linear, so it may follow the pooling and run once a group."""
        return self.lid is None and self.query is not None

    def _pooled_before_grouping(self, fused: Float[Tensor, "b p f"]) -> Float[Tensor, "b n d"]:
        # cast once: both products would, and their gradients would be added in full precision
        weight = self.grouping.weight.to(fused.dtype).unflatten(0, (self.num_groups, -1))
        pooled = self._attention_before_grouping(fused, weight).transpose(1, 2) @ fused
        # with the weight first its gradient comes in the weight's own layout
        local = (weight @ pooled.permute(1, 2, 0)).permute(2, 0, 1)
        return local + self.grouping.bias.view(self.num_groups, -1)

    def _heat_before_grouping(
        self, fused: Float[Tensor, "b p f"], heard: Float[Tensor, "b c n"], wanted: Float[Tensor, "b c d"]
    ) -> Float[Tensor, "b c p"]:
        """What labels want of each group goes back through the grouping: less work for few than all positions forth.

        Memory: a number for each picture, label, group and channel of the fused map.
        """
        weight = self.grouping.weight.unflatten(0, (self.num_groups, -1))
        asked = heard[..., None] * torch.einsum("bcd,ndf->bcnf", wanted, weight)
        offset = heard * (wanted @ self.grouping.bias.view(self.num_groups, -1).T)
        matches = (fused @ asked.flatten(1, 2).mT).unflatten(2, offset.shape[1:]) + offset[:, None]
        return torch.einsum("bpcn,bpn->bcp", matches, self._attention_before_grouping(fused, weight))

    def _attention_before_grouping(
        self, fused: Float[Tensor, "b p f"], weight: Float[Tensor, "n d f"]
    ) -> Float[Tensor, "b p n"]:
        assert self.query is not None
        queries = torch.einsum("nd,ndf->nf", self.query, weight) * self.vector_dim**-0.5
        return (fused @ queries.T).softmax(1)

    def _attention(self, local_maps: Float[Tensor, "n b p d"]) -> Float[Tensor, "n b p 1"]:
        assert self.query is not None
        logits = local_maps @ self.query[:, None, :, None] * self.vector_dim**-0.5
        return logits.softmax(2)

    def _nodes(
        self, local: Float[Tensor, "b n d"], global_vector: Float[Tensor, "b d"] | None
    ) -> Float[Tensor, "b n i"]:
        """Eq. 11: each local vector with the global one beside it."""
        if global_vector is None:
            return local
        return torch.cat([local, global_vector[:, None].expand_as(local)], -1)

    def _stretch(self, S: Float[Tensor, "b n d"]) -> Float[Tensor, "b n 1"]:
        """What brings each vector to the learned length; 1 where lengths are left as they come."""
        if self.log_length is None:
            return torch.ones_like(S[..., :1])
        return self.log_length.exp() / S.norm(dim=-1, keepdim=True).clamp(min=1e-12)

    def _linearised(
        self, nodes: Float[Tensor, "b n i"]
    ) -> tuple[Float[Tensor, "n n"], Float[Tensor, "i d"], Float[Tensor, "b n d"]]:
        """Affinity, update and the slopes of LeakyReLU at these nodes; without a graph, what adds node to node."""
        if self.graph is None:
            pieces = nodes.shape[-1] // self.vector_dim
            identity = torch.eye(self.vector_dim).to(nodes).repeat(pieces, 1)
            return torch.eye(self.num_groups).to(nodes), identity, torch.ones_like(nodes[..., : self.vector_dim])
        before = self.graph.affinity @ (nodes @ self.graph.update)
        return self.graph.affinity, self.graph.update, torch.where(before > 0, 1.0, self.graph.slope)


def _cut(maps: Float[Tensor, "b p e"], num_groups: int) -> Float[Tensor, "g b p d"]:
    """Channels cut into groups."""
    return maps.unflatten(-1, (num_groups, -1)).permute(2, 0, 1, 3).contiguous()


def _at_maximum(maps: Tensor, axis: int) -> Tensor:
    """The maximum over positions left where it was found (first of equals), zero elsewhere."""
    where = maps.argmax(axis, keepdim=True)
    return torch.zeros_like(maps).scatter(axis, where, maps.gather(axis, where))
