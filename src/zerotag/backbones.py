"""Backbones: any timm model as a map from pixels to feature maps at strides 8, 16 and 32, and of the whole picture.

Preprocessing travels with the weights: a :class:`Backbone` takes raw uint8 pixels and normalises them itself. timm is
imported only where a model is built by it, since that takes 15 seconds on a slow machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from zerotag import onnx_maps
from zerotag.errors import UnknownNameError
from zerotag.images import squared
from zerotag.registry_weights import REGISTRY_WEIGHTS
from zerotag.strides import STRIDES, WHOLE
from zerotag.timm_maps import TimmMaps, fold_batch_norms, timm_model


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes the pixels a backbone was trained on."""

    size_px: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str

    def pixels(self, picture: Image.Image) -> UInt8[np.ndarray, "h w 3"]:
        """The whole picture, brought to a square."""
        return np.array(squared(picture, self.size_px, self.resampling).convert("RGB"))

    def batch(self, squares: Iterable[bytes]) -> UInt8[np.ndarray, "b h w 3"]:
        """Pictures that were brought to the square before, each given row by row, three bytes a pixel."""
        return np.frombuffer(bytearray().join(squares), np.uint8).reshape(-1, self.size_px, self.size_px, 3)

    @property
    def resampling(self) -> Image.Resampling:
        """Pillow's word for the interpolation."""
        return Image.Resampling[self.interpolation.upper()]


class Backbone(nn.Module):
    """Pixels to feature maps.

    Attributes:
        channels: number of channels by stride.
        weights: what the weights are: a checksum of the package's file, "hub:<tag>" or "random:0" (drawn from seed 0).
        preprocessing: what turns a picture into the pixels ``forward`` takes.
        map_side: the map of stride 32 is averaged to so many cells a side where it has more, those of 16 and 8 to
            twice and four times as many. None leaves the maps as the network makes them.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        name: str,
        maps: nn.Module,
        weights: str,
        preprocessing: Preprocessing,
        channels: dict[int, int],
        map_side: int | None = None,
    ) -> None:
        super().__init__()
        self.name, self.maps, self.weights, self.preprocessing = name, maps, weights, preprocessing
        self.channels, self.map_side = channels, map_side
        self.register_buffer("mean", 255 * torch.tensor(preprocessing.mean), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(preprocessing.std), persistent=False)

    def forward(self, pixels: UInt8[Tensor, "b h w 3"]) -> dict[int, Float[Tensor, "b _c _h _w"]]:
        """Feature maps by stride; of stride ``WHOLE`` one cell."""
        planes = pixels.permute(0, 3, 1, 2).contiguous().float()
        normalised = planes.sub_(self.mean[:, None, None]).div_(self.std[:, None, None])
        maps = dict(zip(self.channels, self.maps(normalised), strict=True))
        if self.map_side is None:
            return maps
        most = {stride: self.map_side * STRIDES[-1] // stride for stride in maps if stride != WHOLE}
        sides = {stride: min(side, maps[stride].shape[-1]) for stride, side in most.items()}
        return maps | {stride: adaptive_avg_pool2d(maps[stride], side) for stride, side in sides.items()}

    @property
    def has_own_threads(self) -> bool:
        """Whether ONNX Runtime makes the maps in threads of its own.

        They are idle before and after it unless a second batch is given meanwhile; PyTorch takes all cores for one
        batch and is slower for two.
        """
        return isinstance(self.maps, onnx_maps.OnnxMaps)

    def record(self) -> dict[str, Any]:
        """What the maps depend on, as plain data."""
        return {
            "name": self.name,
            "weights": self.weights,
            "preprocessing": {
                key: list(v) if isinstance(v, tuple) else v for key, v in vars(self.preprocessing).items()
            },
            "channels": {str(stride): number for stride, number in self.channels.items()},
        } | ({} if self.map_side is None else {"map_side": self.map_side})

    def for_inference(self) -> Backbone:
        """Freeze, fold batch normalisation into the convolutions, and run on ONNX Runtime where it is installed.

        With a graphics processor PyTorch is kept. Changes this object.
        """
        self.eval().requires_grad_(False)
        fold_batch_norms(self.maps)
        if onnx_maps.is_available() and not torch.cuda.is_available():
            file = onnx_maps.exported(self.name, self.preprocessing.size_px, self.weights)
            if not file.exists():
                onnx_maps.export(self.maps, self.preprocessing.size_px, file, self.record())
            self.maps = onnx_maps.OnnxMaps(file)
        return self


def frozen_backbone(name: str, *, pretrained: bool = True, size_px: int = 224, map_side: int | None = None) -> Backbone:
    """The backbone of :func:`create_backbone` for inference; one that was exported before comes from the cache."""
    if pretrained and name in REGISTRY_WEIGHTS and onnx_maps.is_available() and not torch.cuda.is_available():
        file = onnx_maps.exported(name, size_px, REGISTRY_WEIGHTS[name].checksum())
        if file.exists():
            maps = onnx_maps.OnnxMaps(file)
            return _of_record(maps.record, maps, map_side)
    return create_backbone(name, pretrained=pretrained, size_px=size_px, map_side=map_side).for_inference()


def _of_record(record: dict[str, Any], maps: nn.Module, map_side: int | None) -> Backbone:
    plain = record["preprocessing"]
    preprocessing = Preprocessing(plain["size_px"], tuple(plain["mean"]), tuple(plain["std"]), plain["interpolation"])
    channels = {int(stride): number for stride, number in record["channels"].items()}
    return Backbone(record["name"], maps, record["weights"], preprocessing, channels, map_side).eval()


def create_backbone(
    name: str, *, pretrained: bool = True, size_px: int = 224, whole: bool = True, map_side: int | None = None
) -> Backbone:
    """The timm model ``name`` as feature maps at strides 8, 16 and 32; torch's random state stays.

    Args:
        name: of the model.
        pretrained: with weights from a package or a model hub; drawn at random otherwise.
        size_px: side of the square that pictures are brought to.
        whole: make the features of the whole picture too, what the classifier would have read: for VGG19 the 4,096
            activations of its last hidden layer, for ResNets the average of the last map. Without it the layers behind
            the last map are left out, so that none is trained in vain.
        map_side: cells a side to which the map of stride 32 is averaged where it has more; finer maps in proportion.

    Raises:
        UnknownNameError: timm has no such model.
        ZerotagError: the model lacks one of the strides, or its weights can be had neither from a package nor
            from a model hub.
    """
    import timm

    if not timm.is_model(name):
        raise UnknownNameError("backbone", name, timm.list_models())
    with torch.random.fork_rng(devices=[]):
        model, weights = timm_model(name, pretrained)
    maps = TimmMaps(name, model, whole)
    return Backbone(name, maps, weights, _preprocessing(name, size_px, pretrained), maps.channels, map_side)


def _preprocessing(name: str, size_px: int, pretrained: bool) -> Preprocessing:
    import timm

    config = timm.get_pretrained_cfg(name)
    mean, std = tuple(config.mean), tuple(config.std)
    if pretrained and name in REGISTRY_WEIGHTS:
        mean, std = (REGISTRY_WEIGHTS[name].mean,) * 3, (REGISTRY_WEIGHTS[name].std,) * 3
    return Preprocessing(size_px, mean, std, config.interpolation)
