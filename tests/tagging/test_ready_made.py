"""The model without training: the classifier is the package's, and photographs are named at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from sklearn.datasets import load_sample_images

from zerotag.backbones import registry_tensors
from zerotag.errors import UnknownNameError
from zerotag.tagging import ready_made
from zerotag.tagging.tagger import Tagger


@pytest.fixture(scope="module")
def tagger() -> Tagger:
    return Tagger.load("conse-imagenet")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    from PIL import Image

    folder = tmp_path_factory.mktemp("photographs")
    sample = load_sample_images()
    for name, pixels in zip(sample.filenames, sample.images, strict=True):
        Image.fromarray(pixels).save(folder / Path(name).name)
    return sorted(folder.iterdir())


def test_the_classes_are_those_of_the_whole_network(tagger: Tagger, photographs: list[Path]) -> None:
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    whole.load_state_dict(registry_tensors("tf_efficientnet_lite0"), strict=False)
    pixels = torch.from_numpy(np.stack([tagger.pixels(path) for path in photographs]))
    mean, deviation = (one[:, None, None] for one in (tagger.backbone.mean, tagger.backbone.std))
    planes = (pixels.permute(0, 3, 1, 2).float() - mean) / deviation
    model = tagger.network.model
    assert isinstance(model, ready_made.ImageNetConse)
    with torch.inference_mode():
        expected = whole(planes).softmax(1)
        found = model.probabilities(tagger.backbone(pixels))
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=1e-2)


def test_photographs_are_tagged(tagger: Tagger, photographs: list[Path]) -> None:
    words = ["temple", "flower", "submarine", "spoon", "tiger"]
    best = [tags[0].label for tags in tagger.tag(photographs, words)]
    assert [path.stem for path in photographs] == ["china", "flower"] and best == ["temple", "flower"]
    assert tagger.vectors_shape == (1, 384) and len(tagger.vocabulary().names) == 1000


def test_no_such_model() -> None:
    with pytest.raises(UnknownNameError, match="did you mean: conse-imagenet"):
        ready_made.load("conse-imagnet")
