"""CONSE: an image is the mixture of the vectors of the labels that a classifier believes in."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from zerotag.errors import ZerotagError
from zerotag.models.base import FeatureMaps, TaggingModel, register
from zerotag.models.layers import GlobalFeature


@register("conse")
class CONSE(TaggingModel):
    """Zero-shot learning by convex combination of semantic embeddings, Norouzi et al., ICLR 2014.

    A classifier of the trained labels gives probabilities; the vectors of the T most probable labels, weighted by them,
    add up to S, and the score is the cosine to a label's vector.

    Departure: the classifier is multi-label, a sigmoid for each label trained with binary cross-entropy; the paper has
    a softmax over classes of which a picture has one.

    Args:
        channels: number of channels of the backbone's maps by stride.
        vector_dim: length D of a label vector.
        num_labels: T, how many labels are combined.
    """

    label_vectors: Tensor

    def __init__(self, channels: dict[int, int], vector_dim: int, *, num_labels: int = 10) -> None:
        super().__init__(channels, vector_dim)
        self.num_labels = num_labels
        self.feature = GlobalFeature(channels)
        self.strides_read = (self.feature.stride,)

    def meet_labels(self, W: Float[Tensor, "c d"]) -> None:
        """Lay out the classifier of the labels with vectors ``W``."""
        self.register_buffer("label_vectors", W.clone())
        self.classifier = nn.Linear(self.feature.width, len(W))

    def forward(self, feature_maps: FeatureMaps) -> Float[Tensor, "b k"]:
        """Logits of the trained labels.

        Raises:
            ZerotagError: the model was not told of any.
        """
        if not hasattr(self, "classifier"):
            raise ZerotagError(
                "CONSE has a classifier of the trained labels; tell it of them with model.meet_labels(W)"
            )
        logits: Tensor = self.classifier(self.feature(feature_maps))
        return logits

    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b 1 d"]:
        """The combination of label vectors, of unit length."""
        probability = self(feature_maps).float().sigmoid()
        best = probability.topk(min(self.num_labels, probability.shape[1]), dim=1)
        combined = (best.values[..., None] * self.label_vectors[best.indices]).sum(1)
        return F.normalize(combined, dim=1)[:, None]

    def loss(
        self, output: Float[Tensor, "b k"], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """Binary cross-entropy of the classifier, mean over batch and labels."""
        return F.binary_cross_entropy_with_logits(output, positives.to(output.dtype))
