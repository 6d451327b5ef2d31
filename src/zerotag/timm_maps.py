"""What zerotag asks of timm: a model with its weights, its maps, and the features of the whole picture."""

from __future__ import annotations

import warnings
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from zerotag.errors import ZerotagError
from zerotag.registry_weights import REGISTRY_WEIGHTS
from zerotag.strides import STRIDES, WHOLE


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


def timm_model(name: str, pretrained: bool) -> tuple[Any, str]:
    """A timm model, and what its weights are: a checksum of the package's file, "hub:<tag>" or "random:0".

    Raises:
        ZerotagError: the weights can be had neither from a package nor from a model hub.
    """
    import timm

    if pretrained and name in REGISTRY_WEIGHTS:
        model = timm.create_model(name)
        model.load_state_dict(registry_tensors(name), strict=False)
        return model, REGISTRY_WEIGHTS[name].checksum()
    torch.manual_seed(0)
    if pretrained:
        return _from_hub(name), f"hub:{timm.get_pretrained_cfg(name).tag}"
    return timm.create_model(name), "random:0"


def registry_tensors(name: str) -> dict[str, Tensor]:
    """The weights of a package under timm's keys."""
    import timm

    source = REGISTRY_WEIGHTS[name]
    file = source.file()
    try:
        tensors = _without_counters(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # of torch, zipfile and pickle, which share no class
        raise ZerotagError(f"{file} is damaged; install the package {source.package} anew") from error
    own = _without_counters(timm.create_model(name).state_dict())
    if [t.shape for t in tensors.values()] != [t.shape for t in own.values()]:
        raise ZerotagError(
            f"the weights in {source.package} do not have the shapes of timm's {name}; install the pinned version"
        )
    return dict(zip(own, tensors.values(), strict=True))


def _without_counters(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


def fold_batch_norms(module: nn.Module) -> None:
    """Replace each convolution followed by a batch normalisation by one convolution (evaluation mode only)."""
    from timm.layers import BatchNormAct2d

    children = list(module.named_children())
    for (conv_name, conv), (norm_name, norm) in pairwise(children):
        if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
            setattr(module, norm_name, norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity())
    for _, child in children:
        fold_batch_norms(child)


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
