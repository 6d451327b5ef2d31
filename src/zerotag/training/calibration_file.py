"""The file of a run that turns its scores into confidences."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from zerotag.json_files import damaged, first_fault
from zerotag.training.checkpoint import load_tensors

FILE = "calibration.safetensors"
NUM_FEATURES = 4


class About(BaseModel):
    """What stands beside the tensors.

    Attributes:
        labels: Those that were trained and calibrated.
        weights: Digest of the weights that it was made for.
    """

    model_config = ConfigDict(strict=True)

    labels: list[str]
    weights: str


def read_calibration_file(folder: Path) -> tuple[dict[str, Tensor], About] | None:
    """The tensors of a calibration and what stands beside them; None where there is no file.

    Raises:
        ZerotagError: The file is damaged.
    """
    file, cure = folder / FILE, f"run: zerotag calibrate {folder}"
    if not file.exists():
        return None
    tensors, plain = load_tensors(file, cure)
    try:
        about = About.model_validate(plain)
    except ValidationError as error:
        raise damaged(file, first_fault(error), cure) from error
    if fault_of := _fault(tensors, about):
        raise damaged(file, fault_of, cure)
    return tensors, about


def _fault(tensors: dict[str, Tensor], about: About) -> str:
    if len(set(about.labels)) < len(about.labels):
        return "a label comes twice"
    shapes = {"own": (len(about.labels), 2), "trained": (NUM_FEATURES,), "untrained": (NUM_FEATURES,)}
    if tensors.keys() != {*shapes, "reference"}:
        return "its tensors are not those of a calibration"
    if any(tuple(tensors[name].shape) != shape for name, shape in shapes.items()):
        return "its tensors have other shapes than those of a calibration of its labels"
    reference = tensors["reference"]
    if reference.ndim != 3 or not reference.numel() or not all(one.is_floating_point() for one in tensors.values()):
        return "its tensors do not hold the numbers of a calibration"
    return ""
