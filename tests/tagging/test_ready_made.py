"""The model without training: the classifier is the package's, and photographs are named at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from sklearn.datasets import load_sample_images

from zerotag.errors import UnknownNameError, ZerotagError
from zerotag.tagging import ready_made
from zerotag.tagging.tagger import Tagger
from zerotag.timm_maps import registry_tensors


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


def test_clip_tags_with_any_words(photographs: list[Path]) -> None:
    """Weights are drawn at random, since no hub is in reach: shapes, preprocessing and vectors are what is tested."""
    tagger = Tagger.load("open-clip:ViT-S-32:random")
    tags = tagger.tag(photographs, ["temple", "flower", "a tiger in the snow"], top_k=3)
    assert [len(of) for of in tags] == [3, 3] and all(-1 <= tag.score <= 1 for of in tags for tag in of)
    number, length = tagger.vectors_shape
    vocabulary = tagger.vocabulary(["temple", "flower"])
    assert number == 1 and vocabulary.W.shape == (2, length)
    torch.testing.assert_close(vocabulary.W.norm(dim=1), torch.ones(2))
    S = tagger.embed(photographs)
    torch.testing.assert_close(tagger.scores(S, vocabulary), (S[:, 0] @ vocabulary.W.T).numpy())


def test_what_open_clip_has_not_is_named() -> None:
    with pytest.raises(
        ZerotagError, match="open_clip has no 'open-clip:ViT-B-32:nonesuch'; it has, for example, open-clip:"
    ):
        Tagger.load("open-clip:ViT-B-32:nonesuch")
