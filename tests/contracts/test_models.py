"""What every registered model promises; a new model is tested by being registered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn import functional as F

from zerotag.errors import UnknownNameError, ZerotagError
from zerotag.models import TaggingModel, create_model, list_models
from zerotag.strides import WHOLE
from zerotag.training.checkpoint import load_tensors, load_weights, save_tensors

CHANNELS = {8: 6, 16: 10, 32: 12, WHOLE: 14}
SIDES = {8: 28, 16: 14, 32: 7, WHOLE: 1}
VECTOR_DIM = 10
# quicker than the defaults; a model that is not named here is tested with its defaults
SMALL = {
    "gbe": {"num_groups": 3, "fusion_channels": 16, "grid": 7},
    "fast0tag": {"hidden": [64, 64], "dropout": 0.1},
    "attention_per_cluster": {"num_clusters": 3, "grid": 7, "width": 32},
    "attention_per_label": {"grid": 7, "width": 32},
    "cnn_rnn": {"hidden": 32, "embedding": 16},
    "biam": {"grid": 7, "width": 16, "joined": 32},
    "conse": {"num_labels": 4},
    "deep0tag": {"hidden": 64, "dropout": 0.1},
    "lesa": {"num_attentions": 3, "grid": 7, "width": 32},
}
# a mixture of label vectors says less of the labels than the classifier it is made from, which learns slowly
RIGHT_ORDER, STEPS = {"conse": 0.8}, {"conse": 60}

pytestmark = pytest.mark.parametrize("name", list_models())


def make(name: str, W: Tensor | None = None) -> TaggingModel:
    torch.manual_seed(0)
    model = create_model(name, channels=CHANNELS, vector_dim=VECTOR_DIM, **SMALL.get(name, {}))
    model.meet_labels(random_vectors(9) if W is None else W)
    return model


def test_maps_that_are_not_there_are_named(name: str) -> None:
    with pytest.raises(ZerotagError, match=f"model {name} reads feature maps of stride (16|32), and"):
        create_model(name, channels={8: 6}, vector_dim=VECTOR_DIM, **SMALL.get(name, {})).meet_labels(random_vectors(9))


def test_maps_that_are_not_read_need_not_be_there(name: str) -> None:
    model, W = make(name).eval(), random_vectors(9)
    few = {stride: maps for stride, maps in random_maps(2).items() if stride in model.strides_read}
    assert few and torch.equal(model.score(model.embed(few), W), model.score(model.embed(random_maps(2)), W))


def test_maps_without_the_whole_picture_will_do(name: str) -> None:
    maps = {stride: one for stride, one in random_maps(2).items() if stride != WHOLE}
    channels = {stride: number for stride, number in CHANNELS.items() if stride != WHOLE}
    model = create_model(name, channels=channels, vector_dim=VECTOR_DIM, **SMALL.get(name, {}))
    model.meet_labels(random_vectors(9))
    assert WHOLE not in model.strides_read
    assert model.score(model.embed(maps), random_vectors(9)).isfinite().all()


def test_a_model_that_was_told_of_no_labels_says_so_or_needs_none(name: str) -> None:
    model = create_model(name, channels=CHANNELS, vector_dim=VECTOR_DIM, **SMALL.get(name, {}))
    try:
        model.score(model.embed(random_maps(2)), random_vectors(3))
    except ZerotagError as error:
        assert "model.meet_labels(W)" in str(error)


def random_maps(number: int, seed: int = 1) -> dict[int, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return {s: torch.randn(number, c, SIDES[s], SIDES[s], generator=random) for s, c in CHANNELS.items()}


def random_vectors(number: int, seed: int = 2) -> Tensor:
    return F.normalize(torch.randn(number, VECTOR_DIM, generator=torch.Generator().manual_seed(seed)), dim=1)


def random_positives(images: int, labels: int) -> Tensor:
    positives = torch.rand(images, labels, generator=torch.Generator().manual_seed(3)) < 0.3
    positives[:, 0], positives[:, 1] = True, False
    return positives


def fit(model: TaggingModel, maps: dict[int, Tensor], W: Tensor, positives: Tensor, steps: int) -> None:
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    model.train()
    for _ in range(steps):
        loss = model.loss(model(maps), W, positives)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()


def test_shapes(name: str) -> None:
    model = make(name).eval()
    S = model.embed(random_maps(4))
    assert S.ndim == 3 and S.shape[0] == 4
    assert model.score(S, random_vectors(9)[:7]).shape == (4, 7)


def test_every_parameter_gets_a_gradient(name: str) -> None:
    model = make(name).train()
    model.loss(model(random_maps(6)), random_vectors(9), random_positives(6, 9)).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert without == []


def test_a_batch_of_one_equals_the_batch_of_many(name: str) -> None:
    model, maps = make(name).eval(), random_maps(5)
    alone = torch.cat([model.embed({s: m[i : i + 1] for s, m in maps.items()}) for i in range(5)])
    torch.testing.assert_close(alone, model.embed(maps), rtol=1e-4, atol=1e-5)


def test_permuting_labels_permutes_scores(name: str) -> None:
    model, W = make(name).eval(), random_vectors(9)
    S, order = model.embed(random_maps(3)), torch.randperm(9)
    torch.testing.assert_close(model.score(S, W[order]), model.score(S, W)[:, order])


def test_adding_a_label_leaves_the_scores_of_others(name: str) -> None:
    model, W = make(name).eval(), random_vectors(9)
    S = model.embed(random_maps(3))
    torch.testing.assert_close(model.score(S, W[:8]), model.score(S, W)[:, :8])


def test_saved_and_loaded_weights_are_bit_equal(name: str, tmp_path: Path) -> None:
    model, maps = make(name), random_maps(3)
    fit(model, random_maps(8), random_vectors(9), random_positives(8, 9), steps=2)
    save_tensors(tmp_path / "weights.safetensors", model.state_dict())
    other = make(name)
    load_weights(other, load_tensors(tmp_path / "weights.safetensors")[0], tmp_path)
    assert torch.equal(model.embed(maps), other.eval().embed(maps))


def test_overfits_eight_images(name: str) -> None:
    model, W, positives = make(name), random_vectors(9), random_positives(8, 9)
    of_image = random_maps(8, seed=4)
    maps = {s: m + of_image[s].mean((2, 3), keepdim=True) * SIDES[s] for s, m in random_maps(8).items()}
    fit(model, maps, W, positives, steps=150)
    scores = model.score(model.embed(maps), W)
    gaps = scores[:, :, None] - scores[:, None, :]
    right_order = gaps[positives[:, :, None] & ~positives[:, None, :]] > 0
    assert right_order.float().mean() > RIGHT_ORDER.get(name, 0.95)


def small_world(images: int, prototypes: Tensor, seed: int) -> tuple[dict[int, Tensor], Tensor]:
    """Pictures with two objects each; an object of label c shows prototype c at a place of its own."""
    random = torch.Generator().manual_seed(seed)
    positives = torch.zeros(images, len(prototypes), dtype=torch.bool)
    maps = {s: 0.1 * torch.randn(images, c, SIDES[s], SIDES[s], generator=random) for s, c in CHANNELS.items()}
    for i in range(images):
        for c in torch.randperm(len(prototypes), generator=random)[:2].tolist():
            positives[i, c] = True
            y, x = (int(v) for v in torch.randint(0, 6, (2,), generator=random))
            for s, channels in CHANNELS.items():
                cell = SIDES[s] // 7
                place = [slice(at * cell, (at + 2) * cell) if cell else slice(1) for at in (y, x)]
                maps[s][i, :, *place] += prototypes[c, :channels, None, None]
    return {s: m.relu() for s, m in maps.items()}, positives


def test_beats_chance_on_labels_it_never_saw_where_it_takes_any(name: str) -> None:
    W = random_vectors(40, seed=5)
    way = torch.randn(VECTOR_DIM, max(CHANNELS.values()), generator=torch.Generator().manual_seed(6))
    prototypes, seen = 2 * W @ way, slice(30)
    model = make(name, W[seen])
    for part in range(10):
        maps, positives = small_world(64, prototypes[seen], seed=10 + part % 5)
        fit(model, maps, W[seen], positives, steps=STEPS.get(name, 12))
    ranked = slice(30, 40) if "zsl" in model.settings else seen
    maps, positives = small_world(200, prototypes[ranked], seed=99)
    scores = model.score(model.embed(maps), W[ranked]).detach()
    found = np.mean([average_precision_score(positives[:, c], scores[:, c]) for c in range(scores.shape[1])])
    assert found > 1.5 * float(positives.float().mean())


def test_a_closed_set_takes_no_other_label_and_says_so(name: str) -> None:
    model, W = make(name).eval(), torch.cat([random_vectors(9), random_vectors(3, seed=8)])
    S = model.embed(random_maps(2))
    if "zsl" in model.settings:
        assert model.score(S, W).shape == (2, 12)
        return
    stranger = create_model(name, channels=CHANNELS, vector_dim=VECTOR_DIM, **SMALL.get(name, {}))
    with pytest.raises(ZerotagError, match="has a fixed set of labels; tell it"):
        stranger.score(S, W)
    with pytest.raises(ZerotagError, match="3 of 12 labels are others, the first one number 10"):
        model.score(S, W)


def test_heat_maps_add_up_to_the_score(name: str) -> None:
    model, maps, W = make(name).eval(), random_maps(3), random_vectors(9)[:5]
    if not model.has_heat_maps:
        with pytest.raises(ZerotagError, match="heat maps"):
            model.position_scores(maps, W)
        return
    heat = model.position_scores(maps, W)
    torch.testing.assert_close(heat.sum((2, 3)), model.score(model.embed(maps), W), rtol=1e-4, atol=1e-5)
    own = torch.tensor([[0, 4], [3, 3], [2, 1]])
    of_own = model.position_scores(maps, W[own])
    torch.testing.assert_close(of_own, heat[torch.arange(3)[:, None], own], rtol=1e-4, atol=1e-5)


def test_an_unknown_option_is_named(name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"option of model {name}"):
        create_model(name, channels=CHANNELS, vector_dim=VECTOR_DIM, colour="red")
