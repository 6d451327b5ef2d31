"""Models that need no training of one's own: made of what the package registry, or a model hub, delivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from zerotag.backbones import frozen_backbone
from zerotag.errors import UnknownNameError
from zerotag.labels import LabelSet
from zerotag.models import FeatureMaps
from zerotag.strides import WHOLE
from zerotag.tagging import open_clip_model
from zerotag.tagging.untrained import UntrainedModel
from zerotag.tagging.words import imagenet_words
from zerotag.timm_maps import registry_tensors
from zerotag.training.network import Network
from zerotag.vectors import MINILM, label_vectors

if TYPE_CHECKING:
    from zerotag.tagging.tagger import Tagger

CONSE_IMAGENET = "conse-imagenet"
BACKBONE, SIZE_PX = "tf_efficientnet_lite0", 224
NUM_CLASSES = 10


def names() -> list[str]:
    """Names of these models, those of open_clip aside."""
    return [CONSE_IMAGENET]


def is_name(text: str) -> bool:
    """Whether a model is meant, and no folder."""
    return text in names() or text.startswith(open_clip_model.PREFIX)


def load(name: str) -> Tagger:
    """One of these models.

    Raises:
        UnknownNameError: there is none of this name.
        MissingPackageError: it comes with a package that is not installed.
    """
    from zerotag.tagging.tagger import Tagger

    if name.startswith(open_clip_model.PREFIX):
        return Tagger(*open_clip_model.parts_of(name))
    if name != CONSE_IMAGENET:
        raise UnknownNameError("ready-made model", name, names())
    words = imagenet_words()
    classes, _ = label_vectors([", ".join((word.name, *word.aliases)) for word in words])
    backbone = frozen_backbone(BACKBONE, size_px=SIZE_PX)
    model = ImageNetConse(backbone.channels, classes)
    return Tagger(
        Network(model).eval(),
        backbone,
        LabelSet(tuple(word.name for word in words)),
        label_vectors,
        [CONSE_IMAGENET, NUM_CLASSES, MINILM, backbone.record()],
    )


class ImageNetConse(UntrainedModel):
    """Zero-shot learning by convex combination of semantic embeddings, Norouzi et al., ICLR 2014, as printed.

    The classifier is the one of EfficientNet-Lite0 over the thousand classes of ImageNet, behind a softmax; S is the
    mean of the ten most probable classes' vectors, weighted by their probabilities. So it works on photographs at once,
    and knows one main thing a picture; nothing of it is trained here.

    Args:
        channels: of the backbone's maps by stride.
        classes: vectors of the classes' names, [1000, D].
    """

    classes: Tensor

    def __init__(self, channels: dict[int, int], classes: Float[Tensor, "k d"]) -> None:
        super().__init__(channels, classes.shape[1])
        weights = registry_tensors(BACKBONE)
        self.classifier = nn.Linear(channels[WHOLE], len(classes))
        self.classifier.load_state_dict({key: weights[f"classifier.{key}"] for key in ("weight", "bias")})
        self.register_buffer("classes", classes)
        self.requires_grad_(False)

    def probabilities(self, feature_maps: FeatureMaps) -> Float[Tensor, "b k"]:
        """Of the classes of ImageNet."""
        logits: Tensor = self.classifier(feature_maps[WHOLE].flatten(1))
        return logits.float().softmax(1)

    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b 1 d"]:
        """The combination of class vectors, of unit length."""
        best = self.probabilities(feature_maps).topk(NUM_CLASSES, dim=1)
        combined = (best.values[..., None] * self.classes[best.indices]).sum(1)
        return F.normalize(combined, dim=1)[:, None]
