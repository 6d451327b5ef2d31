"""GBE against a slow, literal transcription of eq. 1-12, written group by group and position by position."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from zerotag.errors import ZerotagError
from zerotag.models.gbe import GBE
from zerotag.strides import WHOLE

CHANNELS = {8: 6, 16: 10, 32: 32}
D, N, B = 10, 3, 2


def maps(seed: int = 0) -> dict[int, Tensor]:
    random = torch.Generator().manual_seed(seed)
    sides = {8: 28, 16: 14, 32: 7}
    return {s: torch.randn(B, c, sides[s], sides[s], generator=random) for s, c in CHANNELS.items()}


def screened(model: GBE, index: int, x: Tensor) -> Tensor:
    convolution, norm, _ = model.fusion.screens[index]
    y = torch.einsum("oc,chw->ohw", convolution.weight[:, :, 0, 0], x)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    y = (y - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]
    return y.clamp(min=0)


def max_pool_2(x: Tensor) -> Tensor:
    return torch.stack([x[:, i::2, j::2] for i, j in product(range(2), range(2))]).amax(0)


def literal(model: GBE, feature_maps: dict[int, Tensor], image: int) -> Tensor:
    """S of one image for the whole model at grid 14, from its weights."""
    f14 = screened(model, 0, feature_maps[16][image])
    f7 = screened(model, 1, feature_maps[32][image])
    f28 = screened(model, 2, feature_maps[8][image])
    f7 = F.interpolate(f7[None], scale_factor=2, mode="bilinear", align_corners=False)[0]
    f28 = max_pool_2(f28)
    fused = torch.cat([f14, f14 * f7, f14 * f28])  # eq. 1-3
    grouped = torch.einsum("oc,chw->ohw", model.grouping.weight, fused) + model.grouping.bias[:, None, None]

    local = []
    for m in range(N):
        x = grouped[m * D : (m + 1) * D].flatten(1).T  # [196, D]
        x = x @ model.lid.embedding.weight[m] + model.lid.embedding.bias[m]
        q, v = (x @ one.weight[m] + one.bias[m] for one in (model.lid.query, model.lid.value))
        k = x @ model.lid.key[m]  # eq. 4
        affinity = torch.softmax(q @ k.T * model.lid.scale, dim=1)  # eq. 5
        x = x + affinity @ v  # eq. 6
        norm, down, _, up = model.lid.feed_forward
        y = (x - x.mean(1, keepdim=True)) / (x.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        y = y * norm.weight[m] + norm.bias[m]
        y = F.gelu(y @ down.weight[m] + down.bias[m]) @ up.weight[m] + up.bias[m]
        local.append((x + y).amax(0))

    deepest = feature_maps[32][image]
    first, _, second = model.gem.channel_mlp

    def mlp(x: Tensor) -> Tensor:
        return second.weight @ (first.weight @ x + first.bias).clamp(min=0) + second.bias

    weight = torch.sigmoid(mlp(deepest.mean((1, 2))) + mlp(deepest.amax((1, 2))))  # eq. 7-9
    enhanced = weight[:, None, None] * deepest  # eq. 10
    convolution, norm, _ = model.gem.screen
    y = torch.einsum("oc,chw->ohw", convolution.weight[:, :, 0, 0], enhanced) + convolution.bias[:, None, None]
    y = (y - norm.running_mean[:, None, None]) / (norm.running_var + norm.eps).sqrt()[:, None, None]
    y = (y * norm.weight[:, None, None] + norm.bias[:, None, None]).clamp(min=0)
    global_vector = y.amax((1, 2))

    nodes = [torch.cat([vector, global_vector]) for vector in local]  # eq. 11
    rows = []
    for r in range(N):  # eq. 12
        heard = sum(model.graph.affinity[r, m] * nodes[m] for m in range(N))
        z = heard @ model.graph.update
        rows.append(torch.where(z > 0, z, 0.2 * z))
    return torch.stack(rows)


@pytest.mark.parametrize("lid_in_training", [True, False])
@pytest.mark.parametrize("attention_scale", [True, False])
def test_equals_the_literal_transcription(attention_scale: bool, lid_in_training: bool) -> None:
    torch.manual_seed(1)
    model = GBE(CHANNELS, D, num_groups=N, fusion_channels=8, attention_scale=attention_scale)
    for _ in range(3):  # batch statistics other than the first ones
        model.embed(maps(seed=5))
    model.eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 2)
            torch.nn.init.normal_(module.bias)
    model.lid.train(lid_in_training)
    S = model.embed(maps())
    for image in range(B):
        torch.testing.assert_close(S[image], literal(model, maps(), image), rtol=1e-4, atol=1e-5)


SWITCHES: list[dict[str, Any]] = [
    dict(zip(("fusion", "lid", "gem", "graph", "unit_vectors", "pooling", "grid"), values, strict=True))
    for values in product(*[(True, False)] * 5, ("max", "attention"), (14, 7))
]


@pytest.mark.parametrize("switches", SWITCHES, ids=lambda s: "-".join(map(str, s.values())))
def test_heat_maps_add_up_for_all_switches(switches: dict[str, Any]) -> None:
    torch.manual_seed(2)
    model = GBE(CHANNELS, D, num_groups=N, fusion_channels=8, **switches).eval()
    W = F.normalize(torch.randn(6, D), dim=1)
    heat = model.position_scores(maps(), W)
    assert heat.shape == (B, 6, switches["grid"], switches["grid"])
    torch.testing.assert_close(heat.sum((2, 3)), model.score(model.embed(maps()), W), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [CHANNELS | {WHOLE: 12}, CHANNELS])
def test_the_whole_picture_takes_part_and_heat_maps_still_add_up(channels: dict[int, int]) -> None:
    torch.manual_seed(6)
    model = GBE(channels, D, num_groups=N, fusion_channels=8, whole_picture=True).eval()
    picture = maps() | ({WHOLE: torch.randn(B, 12, 1, 1)} if WHOLE in channels else {})
    assert set(model.strides_read) == set(channels)
    W = F.normalize(torch.randn(6, D), dim=1)
    scores = model.score(model.embed(picture), W)
    heat = model.position_scores(picture, W)
    torch.testing.assert_close(heat.sum((2, 3)), scores, rtol=1e-4, atol=1e-4)
    if WHOLE in channels:
        other = picture | {WHOLE: picture[WHOLE] + 1}
        assert not torch.allclose(model.score(model.embed(other), W), scores)


@pytest.mark.parametrize("unit_vectors", [True, False])
def test_within_the_span_nothing_is_scored_that_no_trained_label_means(unit_vectors: bool) -> None:
    torch.manual_seed(7)
    options: dict[str, Any] = {"num_groups": N, "fusion_channels": 8, "unit_vectors": unit_vectors}
    free = GBE(CHANNELS, D, **options).eval()
    held = GBE(CHANNELS, D, within_span=True, **options).eval()
    held.load_state_dict(free.state_dict())
    trained = F.normalize(torch.randn(4, D), dim=1)
    trained = torch.cat([trained, trained[:1]])  # two labels of the same meaning span no more than one
    held.meet_labels(trained)
    basis = torch.linalg.svd(trained).Vh
    within, beyond = basis[:4], basis[4:]
    S = held.embed(maps())
    torch.testing.assert_close(held.score(S, trained), free.score(S, trained), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(held.score(S, beyond), torch.zeros(B, D - 4), rtol=0, atol=1e-4)
    W = F.normalize(torch.randn(6, D), dim=1)
    scores = held.score(S, W)
    torch.testing.assert_close(scores, free.score(S, W @ within.T @ within), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(held.position_scores(maps(), W).sum((2, 3)), scores, rtol=1e-4, atol=1e-4)


def test_without_lid_and_gem_and_graph_a_group_is_its_maximum_over_positions() -> None:
    torch.manual_seed(3)
    model = GBE(CHANNELS, D, num_groups=N, fusion_channels=8, lid=False, gem=False, graph=False).eval()
    fused = model.fusion(maps())
    grouped = F.conv2d(fused, model.grouping.weight[:, :, None, None], model.grouping.bias)
    torch.testing.assert_close(model.embed(maps()), grouped.amax((2, 3)).view(B, N, D), rtol=1e-4, atol=1e-5)


def test_without_graph_the_global_vector_is_added_to_each_local_one() -> None:
    torch.manual_seed(4)
    model = GBE(CHANNELS, D, num_groups=N, fusion_channels=8, graph=False).eval()
    S = model.embed(maps())
    local = model._local_maps(model.fusion(maps()).flatten(2).transpose(1, 2)).amax(2).transpose(0, 1)
    torch.testing.assert_close(S - local, (S - local)[:, :1].expand_as(S))


def test_without_fusion_only_the_middle_map_is_read() -> None:
    model = GBE(CHANNELS, D, num_groups=N, fusion_channels=8, fusion=False, gem=False).eval()
    changed = maps() | {8: maps(9)[8], 32: maps(9)[32]}
    torch.testing.assert_close(model.embed(maps()), model.embed(changed))


def test_unit_vectors_have_one_length() -> None:
    S = GBE(CHANNELS, D, num_groups=N, fusion_channels=8, unit_vectors=True).eval().embed(maps())
    torch.testing.assert_close(S.norm(dim=-1), torch.full((B, N), 8.0))


def test_groups_start_apart() -> None:
    torch.manual_seed(5)
    S = GBE(CHANNELS, D, num_groups=N, fusion_channels=8).eval().embed(maps())
    assert (S[:, 0] - S[:, 1]).abs().max() > 1e-3


def test_sizes_that_make_no_model_are_refused() -> None:
    with pytest.raises(ZerotagError, match="at least 1"):
        GBE(CHANNELS, D, num_groups=0)


def test_grouping_after_attention_pooling_equals_grouping_before_it() -> None:
    torch.manual_seed(6)
    model = GBE(CHANNELS, D, num_groups=N, fusion_channels=8, lid=False, pooling="attention").eval()
    torch.nn.init.normal_(model.query)
    fused = model.fusion(maps()).flatten(2).transpose(1, 2)
    local_maps = model._local_maps(fused)
    expected = (model._attention(local_maps) * local_maps).sum(2).transpose(0, 1)
    torch.testing.assert_close(model._pooled_before_grouping(fused), expected, rtol=1e-4, atol=1e-5)


def test_maps_can_be_brought_to_the_grid_before_screening() -> None:
    model = GBE(CHANNELS, D, num_groups=N, fusion_channels=8, grid=7, pool_first=True).eval()
    constant = {s: torch.ones_like(m) for s, m in maps().items()}
    S = model.embed(constant)
    model.fusion.pool_first = False
    torch.testing.assert_close(S, model.embed(constant))
