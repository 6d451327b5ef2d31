"""The paper's experiments, a file each: numbers as CSV and JSON, a figure as PNG and PDF, the settings beside them."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from zerotag.errors import MissingPackageError, UnknownNameError
from zerotag.studies.request import Request

__all__ = ["STUDIES", "Request", "run_study"]

# what each shows, and the module that makes it
STUDIES = {
    "ablation": "what each module brings (Table III)",
    "groups": "the number of groups n (Fig. 6)",
    "lambda": "the weight of the regulariser (Fig. 6)",
    "projection": "t-SNE of ten unseen labels, before and after the model (Fig. 5)",
    "attention": "heat maps, and how often they peak on the object, of every method that has some (Fig. 7)",
    "qualitative": "the ten best labels of some pictures (Fig. 8)",
    "table4": "multi-label classification by all methods (Table IV)",
}


def run_study(name: str, request: Request) -> list[Path]:
    """Make a study's files and return them.

    Raises:
        UnknownNameError: there is no such study.
        MissingPackageError: matplotlib is not installed.
        ZerotagError: a training that the study needs failed, or the data do not suit it.
    """
    if name not in STUDIES:
        raise UnknownNameError("study", name, list(STUDIES))
    if find_spec("matplotlib") is None:
        raise MissingPackageError("matplotlib", "research", "zerotag study")
    from zerotag.studies import ablation, attention, projection, qualitative, sweep, table4

    makers: dict[str, Callable[[Request], list[Path]]] = {
        "ablation": ablation.make,
        "groups": sweep.make_groups,
        "lambda": sweep.make_lambda,
        "projection": projection.make,
        "attention": attention.make,
        "qualitative": qualitative.make,
        "table4": table4.make,
    }
    return makers[name](request)
