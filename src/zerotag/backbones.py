"""Backbones: any timm model as a map from pixels to feature maps at strides 8, 16 and 32, and of the whole picture.

Preprocessing travels with the weights: a :class:`Backbone` takes raw uint8 pixels and normalises them itself. timm is
imported only where a model is built by it, since that takes 15 seconds on a slow machine.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from zerotag import onnx_maps
from zerotag.errors import UnknownNameError, ZerotagError
from zerotag.images import squared
from zerotag.registry_weights import REGISTRY_WEIGHTS
from zerotag.strides import STRIDES, WHOLE


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
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, name: str, maps: nn.Module, weights: str, preprocessing: Preprocessing, channels: dict[int, int]
    ) -> None:
        super().__init__()
        self.name, self.maps, self.weights, self.preprocessing = name, maps, weights, preprocessing
        self.channels = channels
        self.register_buffer("mean", 255 * torch.tensor(preprocessing.mean), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(preprocessing.std), persistent=False)

    def forward(self, pixels: UInt8[Tensor, "b h w 3"]) -> dict[int, Float[Tensor, "b _c _h _w"]]:
        """Feature maps by stride; of stride ``WHOLE`` one cell."""
        planes = pixels.permute(0, 3, 1, 2).contiguous().float()
        normalised = (planes - self.mean[:, None, None]) / self.std[:, None, None]
        return dict(zip(self.channels, self.maps(normalised), strict=True))

    def record(self) -> dict[str, Any]:
        """What the maps depend on, as plain data."""
        return {
            "name": self.name,
            "weights": self.weights,
            "preprocessing": {
                key: list(v) if isinstance(v, tuple) else v for key, v in vars(self.preprocessing).items()
            },
            "channels": {str(stride): number for stride, number in self.channels.items()},
        }

    def for_inference(self) -> Backbone:
        """Freeze, fold batch normalisation into the convolutions, and run on ONNX Runtime where it is installed.

        With a graphics processor PyTorch is kept. Changes this object.
        """
        self.eval().requires_grad_(False)
        _fold_batch_norms(self.maps)
        if onnx_maps.is_available() and not torch.cuda.is_available():
            file = onnx_maps.exported(self.name, self.preprocessing.size_px, self.weights)
            if not file.exists():
                onnx_maps.export(self.maps, self.preprocessing.size_px, file, self.record())
            self.maps = onnx_maps.OnnxMaps(file)
        return self


def frozen_backbone(name: str, *, pretrained: bool = True, size_px: int = 224) -> Backbone:
    """The backbone of :func:`create_backbone` for inference; one that was exported before comes from the cache."""
    if pretrained and name in REGISTRY_WEIGHTS and onnx_maps.is_available() and not torch.cuda.is_available():
        file = onnx_maps.exported(name, size_px, REGISTRY_WEIGHTS[name].checksum())
        if file.exists():
            maps = onnx_maps.OnnxMaps(file)
            return _of_record(maps.record, maps)
    return create_backbone(name, pretrained=pretrained, size_px=size_px).for_inference()


def _of_record(record: dict[str, Any], maps: nn.Module) -> Backbone:
    plain = record["preprocessing"]
    preprocessing = Preprocessing(plain["size_px"], tuple(plain["mean"]), tuple(plain["std"]), plain["interpolation"])
    channels = {int(stride): number for stride, number in record["channels"].items()}
    return Backbone(record["name"], maps, record["weights"], preprocessing, channels).eval()


def create_backbone(name: str, *, pretrained: bool = True, size_px: int = 224, whole: bool = True) -> Backbone:
    """The timm model ``name`` as feature maps at strides 8, 16 and 32; torch's random state stays.

    Args:
        name: of the model.
        pretrained: with weights from a package or a model hub; drawn at random otherwise.
        size_px: side of the square that pictures are brought to.
        whole: make the features of the whole picture too, what the classifier would have read: for VGG19 the 4,096
            activations of its last hidden layer, for ResNets the average of the last map. Without it the layers behind
            the last map are left out, so that none is trained in vain.

    Raises:
        UnknownNameError: timm has no such model.
        ZerotagError: the model lacks one of the strides, or its weights can be had neither from a package nor
            from a model hub.
    """
    import timm

    if not timm.is_model(name):
        raise UnknownNameError("backbone", name, timm.list_models())
    with torch.random.fork_rng(devices=[]):
        return _create(name, pretrained, size_px, whole)


def _create(name: str, pretrained: bool, size_px: int, whole: bool) -> Backbone:
    import timm

    if pretrained and name in REGISTRY_WEIGHTS:
        source = REGISTRY_WEIGHTS[name]
        model = timm.create_model(name)
        model.load_state_dict(registry_tensors(name), strict=False)
        weights = source.checksum()
        preprocessing = _preprocessing(name, size_px, source.mean, source.std)
    else:
        torch.manual_seed(0)
        model = _from_hub(name) if pretrained else timm.create_model(name)
        weights = f"hub:{timm.get_pretrained_cfg(name).tag}" if pretrained else "random:0"
        preprocessing = _preprocessing(name, size_px)
    maps = TimmMaps(name, model, whole)
    return Backbone(name, maps, weights, preprocessing, maps.channels)


class TimmMaps(nn.Module):
    """Normalised pixels to the maps of a timm model, and to the features of the whole picture.

    Attributes:
        channels: number of channels by stride.

    Raises:
        ZerotagError: the model has no maps of all the strides.
    """

    model: Any

    def __init__(self, name: str, model: Any, whole: bool) -> None:
        super().__init__()
        if not hasattr(model, "forward_intermediates"):
            raise ZerotagError(f"backbone '{name}' gives no feature maps in timm; choose another one")
        reductions = [info["reduction"] for info in model.feature_info]
        if not set(STRIDES) <= set(reductions):
            raise ZerotagError(
                f"backbone '{name}' has feature maps at strides {reductions}, but 8, 16 and 32 are needed; "
                "choose a convolutional one such as tf_efficientnet_lite0, resnet50 or vgg19"
            )
        # a stride may be met twice: the deepest map is taken
        last = {stride: index for index, stride in enumerate(reductions)}
        self.indices = [last[stride] for stride in STRIDES]
        self.channels: dict[int, int] = {stride: model.feature_info[last[stride]]["num_chs"] for stride in STRIDES}
        self.model, self.whole = model, whole
        if whole:
            self.channels[WHOLE] = model.head_hidden_size
        else:
            model.prune_intermediate_layers(self.indices, prune_norm=True, prune_head=True)

    def forward(self, pixels: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _c _h _w"]]:
        """The maps in the order of the strides, last the whole picture as one cell."""
        if not self.whole:
            return list(self.model.forward_intermediates(pixels, self.indices, intermediates_only=True))
        last, maps = self.model.forward_intermediates(pixels, self.indices)
        return [*maps, self.model.forward_head(last, pre_logits=True)[:, :, None, None]]


def registry_tensors(name: str) -> dict[str, Tensor]:
    """The weights of a package under timm's keys."""
    import timm

    source = REGISTRY_WEIGHTS[name]
    tensors = _without_counters(torch.load(source.file(), map_location="cpu", weights_only=True))
    own = _without_counters(timm.create_model(name).state_dict())
    if [t.shape for t in tensors.values()] != [t.shape for t in own.values()]:
        raise ZerotagError(
            f"the weights in {source.package} do not have the shapes of timm's {name}; install the pinned version"
        )
    return dict(zip(own, tensors.values(), strict=True))


def _without_counters(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


def _preprocessing(name: str, size_px: int, mean: float | None = None, std: float | None = None) -> Preprocessing:
    import timm

    config = timm.get_pretrained_cfg(name)
    return Preprocessing(
        size_px=size_px,
        mean=tuple(config.mean) if mean is None else (mean,) * 3,
        std=tuple(config.std) if std is None else (std,) * 3,
        interpolation=config.interpolation,
    )


def _from_hub(name: str) -> Any:
    import timm

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return timm.create_model(name, pretrained=True)
    except Exception as error:  # the hub's client raises errors of many libraries
        offline = ", ".join(REGISTRY_WEIGHTS)
        raise ZerotagError(
            f"the weights of '{name}' come from a model hub, which could not be reached "
            f"({type(error).__name__}); connect and try again, or use a backbone whose weights are "
            f"installed with zerotag[pocket]: {offline}"
        ) from error


def _fold_batch_norms(module: nn.Module) -> None:
    """Replace each convolution followed by a batch normalisation by one convolution (evaluation mode only)."""
    from timm.layers import BatchNormAct2d

    children = list(module.named_children())
    for (conv_name, conv), (norm_name, norm) in pairwise(children):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
            setattr(module, norm_name, norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity())
    for _, child in children:
        _fold_batch_norms(child)
