"""The methods, one paper and one file each; a new file that registers a model is found by itself."""

from __future__ import annotations

import inspect
from importlib import import_module
from pkgutil import iter_modules

from zerotag.errors import UnknownNameError, ZerotagError
from zerotag.models.base import MODELS, FeatureMaps, TaggingModel, register
from zerotag.strides import WHOLE

__all__ = ["MODELS", "FeatureMaps", "TaggingModel", "create_model", "list_models", "model_summary", "register"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")


def list_models() -> list[str]:
    """Names of all registered models."""
    return sorted(MODELS)


def model_summary(name: str) -> str:
    """The first sentence of a model's docstring."""
    return (inspect.getdoc(MODELS[name]) or "").split("\n\n")[0].replace("\n", " ")


class _Channels(dict[int, int]):
    """Number of channels by stride; a stride that is not there is the user's mistake, not a bug."""

    def __init__(self, channels: dict[int, int], model: str) -> None:
        super().__init__(channels)
        self.model = model

    def __missing__(self, stride: int) -> int:
        at_hand = " and ".join("of the whole picture" if one == WHOLE else f"of stride {one}" for one in self)
        raise ZerotagError(
            f"model {self.model} reads feature maps of stride {stride}, and there are features {at_hand}; choose "
            "another model, or other maps"
        )


def create_model(name: str, *, channels: dict[int, int], vector_dim: int, **options: object) -> TaggingModel:
    """A new model with random weights.

    Args:
        name: one of :func:`list_models`.
        channels: number of channels of the maps by stride (8, 16, 32 and ``WHOLE``, or some of them).
        vector_dim: length of a label vector.
        options: what the model's own docstring lists.

    Raises:
        UnknownNameError: no model has this name, or it has no option of a given name.
        ZerotagError: an option has a value that the model cannot take, or the model reads maps that are not there.
    """
    if name not in MODELS:
        raise UnknownNameError("model", name, list_models())
    known = list(inspect.signature(MODELS[name]).parameters)[2:]
    for option in options:
        if option not in known:
            raise UnknownNameError(f"option of model {name}", option, known)
    return MODELS[name](_Channels(channels, name), vector_dim, **options)
