"""What a method is called on the command line, and the settings it is run with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from zerotag.errors import UnknownNameError, ZerotagError
from zerotag.models import list_models
from zerotag.training.settings import Settings, list_recipes, load_settings

FAST = "-fast"


def list_methods() -> list[str]:
    """Names that :func:`method_settings` knows: models, which stand for their fast recipe, and all recipes."""
    return sorted({*list_models(), *(recipe.removesuffix(".yaml") for recipe in list_recipes())})


def method_recipe(method: str) -> str:
    """The recipe or settings file that a method's name stands for.

    Raises:
        ZerotagError: the name is not known, or its model has no fast recipe.
    """
    if Path(method).suffix in (".yaml", ".yml"):
        return method
    if method not in list_methods():
        raise UnknownNameError("method", method, list_methods())
    if method not in list_models():
        return method
    if f"{method}{FAST}.yaml" not in list_recipes():
        raise ZerotagError(f"model {method} has no recipe {method}{FAST} yet; give the path of a settings file instead")
    return f"{method}{FAST}"


def method_settings(method: str, data: str, changes: Sequence[str] = ()) -> Settings:
    """Settings of a method on a data set, with ``a.b=c`` changes.

    Raises:
        ZerotagError: no such method, or settings that do not hold.
    """
    return load_settings(method_recipe(method), [f"data={data}", *changes])
