"""From pictures to semantic vectors: the model, and before it the backbone where that is trained too."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from zerotag.backbones import Backbone, Preprocessing
from zerotag.images import open_picture
from zerotag.models import FeatureMaps, TaggingModel
from zerotag.precision import autocast
from zerotag.prefetch import prefetched
from zerotag.progress import Progress, silent

Batch = Tensor | FeatureMaps


@runtime_checkable
class Inputs(Protocol):
    """What a network reads, picture by number: cached feature maps, or pixels."""

    def batch(self, indices: np.ndarray) -> Batch:
        """The pictures of the given numbers."""


class Pixels:
    """Pictures decoded each time they are asked for, for a backbone that is trained too."""

    def __init__(self, paths: list[Path], preprocessing: Preprocessing) -> None:
        self.paths, self.preprocessing = paths, preprocessing

    def batch(self, indices: np.ndarray) -> UInt8[Tensor, "b h w 3"]:
        """The pixels of some pictures."""
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            pixels = pool.map(self._read, indices.tolist())
            return torch.from_numpy(np.stack(list(pixels)))

    def _read(self, index: int) -> np.ndarray:
        return self.preprocessing.pixels(open_picture(self.paths[index]))


class Network(nn.Module):
    """A model, and the backbone before it where that is trained too; otherwise feature maps come from the cache."""

    def __init__(self, model: TaggingModel, backbone: Backbone | None = None) -> None:
        super().__init__()
        self.model, self.backbone = model, backbone

    @property
    def device(self) -> torch.device:
        """Where the weights are; the processor where there are none."""
        return next(self.parameters(), torch.empty(0)).device

    def forward(self, batch: Batch, partner: Int[Tensor, " b"], first: int = 0) -> Float[Tensor, "b ..."]:
        """What the model's loss is made from, each picture superposed with another of the batch, its ``partner``.

        The pictures are those of the batch from the ``first`` on, as many as there are partners. Superposed is the
        maximum of both feature maps. Computed in bfloat16 where the processor is made for it, and returned in float32.
        """
        with autocast(self.device):
            maps = self._feature_maps(batch)
            maps = {s: torch.maximum(one[first : first + len(partner)], one[partner]) for s, one in maps.items()}
            output: Tensor = self.model(maps)
            return output.float()

    def embed(self, batch: Batch) -> Float[Tensor, "b n e"]:
        """Semantic vectors, in the same formats."""
        with autocast(self.device):
            return self.model.embed(self._feature_maps(batch)).float()

    def position_scores(self, batch: Batch, W: Float[Tensor, "*b c d"]) -> Float[Tensor, "b c h w"]:
        """Heat maps, in float32; ``W`` is the same for all pictures or of each picture's own labels."""
        with torch.inference_mode():
            return self.model.position_scores(self._feature_maps(batch), W.to(self.device))

    def _feature_maps(self, batch: Batch) -> FeatureMaps:
        if isinstance(batch, Tensor):
            assert self.backbone is not None
            return self.backbone(batch.to(self.device))
        return {stride: maps.to(self.device, torch.float32) for stride, maps in batch.items()}


def default_device() -> torch.device:
    """The graphics processor where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@torch.inference_mode()
def embed_all(
    network: Network, inputs: Inputs, indices: np.ndarray, *, batch_size: int = 64, progress: Progress = silent
) -> Float[Tensor, "m n e"]:
    """Semantic vectors of many pictures, in evaluation mode, on the CPU."""
    was_training = network.training
    network.eval()
    found: list[Tensor] = []
    batches = [indices[start : start + batch_size] for start in range(0, len(indices), batch_size)]
    for _, batch in prefetched(inputs.batch, batches):
        found.append(network.embed(batch).cpu())
        progress("Embedding pictures", min(len(found) * batch_size, len(indices)), len(indices))
    network.train(was_training)
    return torch.cat(found)


def scores_of(model: TaggingModel, S: Float[Tensor, "m n e"], W: Float[Tensor, "c d"]) -> Float[np.ndarray, "m c"]:
    """Scores of all labels, by blocks of pictures so that memory stays bounded."""
    with torch.inference_mode():
        W = W.to(next(model.parameters(), W).device)
        return np.concatenate([model.score(block.to(W.device), W).cpu().numpy() for block in S.split(256)])
