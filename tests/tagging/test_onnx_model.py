"""Every zero-shot method as one ONNX file: ONNX Runtime gives the scores that PyTorch gives, for any words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from jaxtyping import config

from zerotag.backbones import frozen_backbone
from zerotag.labels import LabelSet
from zerotag.models import MODELS, create_model
from zerotag.tagging.onnx_model import export_onnx, whole_tagger
from zerotag.tagging.tagger import Tagger
from zerotag.training.network import Network
from zerotag.vectors import label_vectors

SIDE_PX, MAP_SIDE = 96, 2
TRAINED = ("red", "green", "blue", "yellow", "tree", "house", "river", "car", "boat", "bird", "horse", "flower")
WORDS = ["pink", "red", "cat", "sea", "dog", "night", "bread"]
ZERO_SHOT = [name for name, model in MODELS.items() if "zsl" in model.settings]


def tagger_of(name: str) -> Tagger:
    torch.manual_seed(0)
    backbone = frozen_backbone("tf_efficientnet_lite0", pretrained=False, size_px=SIDE_PX, map_side=MAP_SIDE)
    W, _ = label_vectors(TRAINED)
    model = create_model(name, channels=backbone.channels, vector_dim=W.shape[1])
    model.meet_labels(W)
    return Tagger(Network(model).eval(), backbone, LabelSet(TRAINED), label_vectors, name)


@pytest.fixture(autouse=True)
def without_shape_checks() -> Iterator[None]:
    """The checks of the tests ask for numbers of rows, and an exporter would take these for fixed."""
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("name", ZERO_SHOT)
def test_scores_are_those_of_pytorch(name: str, tmp_path: Path) -> None:
    tagger = tagger_of(name)
    assert whole_tagger(tagger).backbone.record() == tagger.backbone.record()
    vectors = export_onnx(tagger, tagger.vocabulary(WORDS[:2]), tmp_path / "model.onnx")
    with np.load(vectors) as beside:
        assert beside["labels"].tolist() == WORDS[:2] and beside["label_vectors"].shape[0] == 2
    record = {prop.key: prop.value for prop in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert json.loads(record["zerotag"])["preprocessing"]["size_px"] == SIDE_PX

    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    random = np.random.default_rng(0)
    for pictures, words in ((1, WORDS[:1]), (5, WORDS)):
        pixels = random.integers(0, 256, (pictures, SIDE_PX, SIDE_PX, 3), np.uint8)
        W = tagger.vocabulary(words).W
        (found,) = session.run(None, {"pixels": pixels, "label_vectors": W.numpy()})
        with torch.inference_mode():
            expected = whole_tagger(tagger)(torch.from_numpy(pixels), W).numpy()
        assert found.shape == (pictures, len(words))
        np.testing.assert_allclose(found, expected, atol=1e-4 * max(1, np.abs(expected).max()), rtol=0)
