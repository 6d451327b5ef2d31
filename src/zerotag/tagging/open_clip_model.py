"""CLIP, SigLIP and their kin through open_clip, where a model hub is in reach; needs the extra ``clip``.

Named ``open-clip:<architecture>:<weights>``, such as ``open-clip:ViT-B-32:laion2b_s34b_b79k`` or
``open-clip:ViT-B-16-SigLIP:webli``. An image is one vector, a label the vector of a sentence about it, the score their
cosine. Pictures are brought to a square whole, where the authors cut out the middle: a label may sit at the border.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from zerotag.backbones import Backbone, Preprocessing
from zerotag.errors import MissingPackageError, ZerotagError
from zerotag.labels import LabelSet
from zerotag.models import FeatureMaps
from zerotag.strides import WHOLE
from zerotag.tagging.untrained import UntrainedModel
from zerotag.tagging.words import named_set
from zerotag.training.network import Network
from zerotag.vectors import VectorReport

PREFIX = "open-clip:"
SENTENCE = "a photo of {}."
LABELS_AT_ONCE = 256


class ImageVectors(nn.Module):
    """open_clip's image tower as a backbone of one map with one position."""

    def __init__(self, clip: Any) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, pixels: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b d 1 1"]]:
        """Vectors of images."""
        return [self.clip.encode_image(pixels)[:, :, None, None]]


class ClipModel(UntrainedModel):
    """Learning transferable visual models from natural language supervision, Radford et al., ICML 2021."""

    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b 1 d"]:
        """The image's vector, of unit length."""
        return F.normalize(feature_maps[WHOLE].flatten(1).float(), dim=1)[:, None]


class LabelSentences:
    """Vectors of labels by open_clip's text tower; every label has one."""

    def __init__(self, name: str, clip: Any, tokenize: Any) -> None:
        self.name, self.clip, self.tokenize = name, clip, tokenize

    def __call__(
        self, words: Sequence[str], /, *, allow_missing: bool = False
    ) -> tuple[Float[Tensor, "c d"], VectorReport]:
        """A unit vector a label."""
        sentences = [SENTENCE.format(word) for word in words]
        with torch.inference_mode():
            parts = [
                F.normalize(
                    self.clip.encode_text(self.tokenize(sentences[start : start + LABELS_AT_ONCE])).float(), dim=1
                )
                for start in range(0, len(sentences), LABELS_AT_ONCE)
            ]
        W = torch.cat(parts)
        return W, VectorReport(tuple(words), (), self.name, W.shape[1], {}, False, self.name)


def parts_of(name: str) -> tuple[Network, Backbone, LabelSet, LabelSentences, list[str]]:
    """What a tagger is made of.

    Raises:
        MissingPackageError: open_clip is not installed.
        ZerotagError: it has no such model, or the weights cannot be fetched.
    """
    try:
        import open_clip
    except ImportError as error:
        raise MissingPackageError("open-clip-torch", "clip", f"'{name}'") from error
    architecture, _, weights = name.removeprefix(PREFIX).partition(":")
    known = open_clip.list_pretrained()
    if weights != "random" and (architecture, weights) not in known:
        near = [f"{PREFIX}{one}:{tag}" for one, tag in known if one == architecture][:5] or [
            f"{PREFIX}{':'.join(known[0])}"
        ]
        raise ZerotagError(f"open_clip has no '{name}'; it has, for example, {', '.join(near)}")
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            warnings.simplefilter("ignore")
            torch.manual_seed(0)
            clip = open_clip.create_model(architecture, pretrained=None if weights == "random" else weights)
            tokenize = open_clip.get_tokenizer(architecture)
    except (OSError, RuntimeError, ValueError) as error:
        raise ZerotagError(f"'{name}' cannot be fetched from the model hub ({str(error)[:200]})") from error
    clip.eval().requires_grad_(False)
    visual = clip.visual
    side = visual.image_size[0] if isinstance(visual.image_size, tuple) else visual.image_size
    mean, std = (tuple(getattr(visual, key)) for key in ("image_mean", "image_std"))
    W, _ = LabelSentences(name, clip, tokenize)(["a"])
    channels = {WHOLE: W.shape[1]}
    backbone = Backbone(architecture, ImageVectors(clip), name, Preprocessing(side, mean, std, "bicubic"), channels)
    labels = LabelSet(tuple(word.name for word in named_set("photographer").words))
    network = Network(ClipModel(channels, W.shape[1])).eval()
    return network, backbone.eval(), labels, LabelSentences(name, clip, tokenize), [name]
