"""The beam search against all paths, written out."""

from __future__ import annotations

from itertools import permutations

import torch

from zerotag.models import create_model
from zerotag.models.cnn_rnn import CNNRNN


def test_scores_are_the_best_paths_where_the_beam_holds_them_all() -> None:
    torch.manual_seed(0)
    options = {"hidden": 6, "embedding": 5, "steps": 2, "beams": 4}
    model = create_model("cnn_rnn", channels={8: 2, 16: 2, 32: 3}, vector_dim=4, **options)
    assert isinstance(model, CNNRNN)
    model.meet_labels(torch.eye(4))
    S = model.embed({32: torch.randn(2, 3, 2, 2)})

    def log_probability(image: int, path: tuple[int, ...]) -> torch.Tensor:
        read = torch.tensor([[4, *path[:-1]]])
        heard = model.from_labels(model.recurrence(model.label_embedding(read))[0])
        steps = torch.log_softmax((S[image] + heard[0]) @ model.label_embedding.weight[:-1].T, 1)
        return torch.stack([steps[t, label] for t, label in enumerate(path)]).sum()

    for image in range(2):
        for label in range(4):
            paths = [p for n in (1, 2) for p in permutations(range(4), n) if p[-1] == label]
            expected = torch.stack([log_probability(image, path) for path in paths]).max()
            torch.testing.assert_close(model.logits(S)[image, label], expected)
