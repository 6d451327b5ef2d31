"""A trained run put to use: pictures in, labels of one's own choice out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from zerotag.backbones import Backbone
from zerotag.errors import ZerotagError
from zerotag.images import open_picture
from zerotag.training.network import Batch, Network, scores_of
from zerotag.training.prepare import backbone_for, load_network, vectors_for
from zerotag.training.run import Run, load_run

BATCH_SIZE = 32
Picture = Path | str | Image.Image


@dataclass(frozen=True)
class Tag:
    """A label of a picture with its raw score; ``seen`` tells whether the model was trained on the label."""

    label: str
    score: float
    seen: bool


class Tagger:
    """Tags pictures with any labels.

    Example:
        >>> tagger = Tagger.load("runs/gbe")  # doctest: +SKIP
        >>> tagger.tag(["beach.jpg"], labels=["sea", "sunset", "dog"])  # doctest: +SKIP
    """

    def __init__(self, run: Run, network: Network, backbone: Backbone) -> None:
        self.run, self.network, self.backbone = run, network, backbone.to(network.device)
        self._seen = frozenset(run.labels.seen)

    @classmethod
    def load(cls, run: str | Path) -> Tagger:
        """The tagger that a finished run made.

        Raises:
            ZerotagError: there is no such run, or it is not finished.
        """
        record = load_run(Path(run))
        W, _ = vectors_for(record.settings, record.labels)
        backbone = backbone_for(record.settings)
        return cls(record, load_network(record, W, backbone), backbone)

    def tag(
        self, images: Sequence[Picture], labels: Sequence[str] | None = None, *, top_k: int = 10
    ) -> list[list[Tag]]:
        """The ``top_k`` best labels of each picture, best first; ties go to the label that comes first.

        Args:
            images: paths, or pictures in memory.
            labels: any words or phrases; all labels of the run when left out.
            top_k: how many labels a picture gets.

        Raises:
            BadPictureError: a file cannot be decoded.
            ZerotagError: a label has no vector.
        """
        words, W, _ = self.vocabulary(labels)
        return self.rank(self.embed(images), words, W, top_k)

    def vocabulary(
        self, labels: Sequence[str] | None = None, *, allow_missing: bool = False
    ) -> tuple[tuple[str, ...], Float[Tensor, "c d"], tuple[str, ...]]:
        """Labels, their vectors as those that the run was trained with, and the labels left out for want of one."""
        wanted = self.run.labels.all if labels is None else labels
        W, report = vectors_for(self.run.settings, self.run.labels, wanted, allow_missing=allow_missing)
        return tuple(report.labels), W, tuple(report.missing)

    def embed(self, images: Sequence[Picture]) -> Float[Tensor, "b n e"]:
        """Semantic vectors of pictures: all that is needed to score any label.

        Raises:
            ZerotagError: there are no pictures.
        """
        if not images:
            raise ZerotagError("there are no pictures to tag")
        batches = [images[start : start + BATCH_SIZE] for start in range(0, len(images), BATCH_SIZE)]
        with torch.inference_mode():
            return torch.cat([self.network.embed(self._inputs(batch)).cpu() for batch in batches])

    def rank(
        self, S: Float[Tensor, "b n e"], labels: Sequence[str], W: Float[Tensor, "c d"], top_k: int
    ) -> list[list[Tag]]:
        """The best labels for each picture's semantic vectors."""
        scores = scores_of(self.network.model, S, W)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
        return [
            [Tag(labels[i], float(row[i]), labels[i] in self._seen) for i in order]
            for row, order in zip(scores, best, strict=True)
        ]

    def heat_maps(self, image: Picture, labels: Sequence[str]) -> Float[np.ndarray, "c h w"]:
        """What each position of the picture gives to each label's score.

        Raises:
            ZerotagError: the run's model keeps no positions.
        """
        return self.network.position_scores(self._inputs([image]), self.vocabulary(labels)[1])[0].cpu().numpy()

    def _inputs(self, images: Sequence[Picture]) -> Batch:
        """Pixels for a network with a backbone of its own, feature maps for others."""
        pixels = [self.backbone.preprocessing.pixels(_opened(image)) for image in images]
        batch = torch.from_numpy(np.stack(pixels)).to(self.network.device)
        return batch if self.network.backbone is not None else self.backbone(batch)


def _opened(image: Picture) -> Image.Image:
    return image if isinstance(image, Image.Image) else open_picture(Path(image))
