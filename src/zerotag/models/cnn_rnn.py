"""CNN-RNN: labels are written one after the other, each knowing those before it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from zerotag.models.base import ClosedSetModel, FeatureMaps, register
from zerotag.models.layers import GlobalFeature


@register("cnn_rnn")
class CNNRNN(ClosedSetModel):
    """CNN-RNN: A Unified Framework for Multi-label Image Classification, Wang et al., CVPR 2016.

    An LSTM reads the labels found so far; its output and the image, both projected into the space of label
    embeddings, are added and matched with every label's embedding to tell the next label. Trained by cross-entropy on
    an image's labels in a fixed order; asked by beam search.

    A label's score is the highest log-probability of a path that ends with it, over the steps and beams of the search;
    so labels that no beam chose are ranked too.

    Departures: the order is that of the trained labels, where the paper has frequent ones first; the number of steps
    is fixed, where the paper ends a path with a stop label.

    Args:
        channels: number of channels of the backbone's maps by stride.
        vector_dim: length D of a label vector; labels are told apart by them, nothing else.
        hidden: of the LSTM.
        embedding: numbers of a label embedding.
        steps: labels of a path.
        beams: paths that are followed.
    """

    def __init__(
        self,
        channels: dict[int, int],
        vector_dim: int,
        *,
        hidden: int = 512,
        embedding: int = 64,
        steps: int = 5,
        beams: int = 3,
    ) -> None:
        super().__init__(channels, vector_dim)
        self.steps, self.beams = steps, beams
        self.recurrence = nn.LSTM(embedding, hidden, batch_first=True)
        self.from_labels = nn.Linear(hidden, embedding)
        self.feature = GlobalFeature(channels)
        self.strides_read = (self.feature.stride,)
        self.from_image = nn.Linear(self.feature.width, embedding)

    def meet_labels(self, W: Float[Tensor, "c d"]) -> None:
        """Lay out an embedding for each label, and one for the start of a path."""
        super().meet_labels(W)
        self.label_embedding = nn.Embedding(len(W) + 1, self.from_labels.out_features)

    def embed(self, feature_maps: FeatureMaps) -> Float[Tensor, "b 1 e"]:
        """The image in the space of label embeddings."""
        vector: Tensor = self.from_image(self.feature(feature_maps))
        return vector[:, None]

    def loss(
        self, output: Float[Tensor, "b 1 e"], W: Float[Tensor, "c d"], positives: Bool[Tensor, "b c"]
    ) -> Float[Tensor, ""]:
        """Cross-entropy of each image's labels in their order, mean over all labels of the batch."""
        number = int(positives.sum(1).max().clamp(min=1))
        # positives first, in the order of the labels
        path = torch.argsort(positives.int(), dim=1, descending=True, stable=True)[:, :number]
        belongs = positives.gather(1, path)
        read = torch.cat([torch.full_like(path[:, :1], len(W)), path[:, :-1]], 1)
        heard = self.from_labels(self.recurrence(self.label_embedding(read))[0])
        log_probability = self._next_label(output, heard).gather(2, path[..., None])[..., 0]
        return -(log_probability * belongs).sum() / belongs.sum().clamp(min=1)

    def logits(self, S: Float[Tensor, "b 1 e"]) -> Float[Tensor, "b k"]:
        """Highest log-probability of a path that ends with each label."""
        batch, num_labels = len(S), len(self.label_vectors)
        beams, hidden = min(self.beams, num_labels), self.recurrence.hidden_size
        last = torch.full((batch, 1), num_labels, device=S.device)
        so_far = S.new_zeros(batch, 1)
        written = S.new_zeros(batch, 1, num_labels, dtype=torch.bool)
        state = (S.new_zeros(1, batch, hidden), S.new_zeros(1, batch, hidden))
        best = S.new_full((batch, num_labels), -torch.inf)
        for _ in range(min(self.steps, num_labels)):
            width = last.shape[1]
            output, state = self.recurrence(self.label_embedding(last.reshape(-1, 1)), state)
            path = so_far[..., None] + self._next_label(S, self.from_labels(output).view(batch, width, -1))
            path = path.masked_fill(written, -torch.inf)
            best = torch.maximum(best, path.amax(1))
            so_far, chosen = path.flatten(1).topk(beams, dim=1)
            parent, last = chosen // num_labels, chosen % num_labels
            written = written.gather(1, parent[..., None].expand(-1, -1, num_labels))
            written = written.scatter(2, last[..., None], torch.ones_like(last[..., None], dtype=torch.bool))
            state = (self._of_parents(state[0], parent, width), self._of_parents(state[1], parent, width))
        return best

    def _next_label(self, S: Float[Tensor, "b 1 e"], heard: Float[Tensor, "b t e"]) -> Float[Tensor, "b t k"]:
        """Log-probabilities of the label that comes next."""
        return F.log_softmax((S + heard) @ self.label_embedding.weight[:-1].T, 2)

    @staticmethod
    def _of_parents(state: Float[Tensor, "1 bw h"], parent: Int[Tensor, "b m"], width: int) -> Float[Tensor, "1 bm h"]:
        """The recurrent state of the path that each new path goes on from."""
        of_path = state[0].unflatten(0, (-1, width))
        return of_path.gather(1, parent[..., None].expand(-1, -1, of_path.shape[2])).flatten(0, 1)[None]
