"""Multi-label zero-shot image tagging: train on seen labels, rank any label by its meaning."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zerotag import losses, metrics
    from zerotag.models import create_model, list_models
    from zerotag.tagging.tagger import Tagger
    from zerotag.vectors import label_vectors

__all__ = ["Tagger", "create_model", "label_vectors", "list_models", "losses", "metrics"]

# each is imported when it is first asked for: torch takes seconds, and `zerotag --help` needs none of it
_HOMES = {
    "Tagger": "zerotag.tagging.tagger",
    "create_model": "zerotag.models",
    "label_vectors": "zerotag.vectors",
    "list_models": "zerotag.models",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in __all__:
        return import_module(f"zerotag.{name}")
    raise AttributeError(f"module 'zerotag' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
