"""Tensors and plain data in one safetensors file, written whole or not at all, and known again by a checksum."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from zerotag.errors import ZerotagError
from zerotag.json_files import damaged, parse_json, read_bytes
from zerotag.storage import write_atomically

PlainData = dict[str, Any]

# a second entry in the metadata would make the bytes of the file differ from one writing to the next
ENTRY, CHECKSUM = "plain", "sha256"
TRAIN_AGAIN = "train the run again"
NO_FILE_OF_TENSORS = (SafetensorError, KeyError, ValueError, RuntimeError)


def save_tensors(path: Path, tensors: dict[str, Tensor], plain: PlainData | None = None) -> None:
    """Write named tensors, with plain data beside them and a checksum of both, atomically.

    Raises:
        ZerotagError: A tensor holds NaN or an infinity, or the disk is full.
    """
    if name := not_finite(tensors):
        raise ZerotagError(
            f"{path} was not written, since the numbers in '{name}' grew beyond all bounds; "
            "lower optimiser.learning_rate"
        )
    # shared storage and strides do not survive the format; a copy of each tensor does
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    content: PlainData = json.loads(json.dumps(plain or {}, allow_nan=False))
    content |= {CHECKSUM: _checksum(whole, content)}
    write_atomically(path, save(whole, {ENTRY: json.dumps(content)}))


def load_tensors(path: Path, cure: str = TRAIN_AGAIN) -> tuple[dict[str, Tensor], PlainData]:
    """Read what :func:`save_tensors` wrote, or another program: then there is no checksum, and none is compared.

    Args:
        path: The file.
        cure: What the user may do where it is damaged.

    Raises:
        ZerotagError: The file is missing or damaged, or a tensor holds NaN or an infinity.
    """
    content = read_bytes(path, cure)
    try:
        tensors = load(content)
        plain = plain_of(content)
        if fault := _fault(tensors, plain):
            raise damaged(path, fault, cure)
    except NO_FILE_OF_TENSORS as error:
        raise damaged(path, str(error), cure) from error
    return tensors, plain


def _fault(tensors: dict[str, Tensor], plain: Any) -> str:
    """What is wrong with the content of a file, or nothing; takes the checksum out of the plain data."""
    if not isinstance(plain, dict):
        return "the plain data beside its tensors have no names"
    checksum = plain.pop(CHECKSUM, None)
    if checksum is not None and checksum != _checksum(tensors, plain):
        return "its content is not what was written: bits have changed on the disk or on the way"
    if name := not_finite(tensors):
        return f"'{name}' holds NaN or an infinity"
    return ""


def not_finite(tensors: dict[str, Tensor]) -> str | None:
    """The name of the first tensor that holds NaN or an infinity."""
    return next((name for name, tensor in tensors.items() if not _is_finite(tensor)), None)


def load_weights(module: nn.Module, weights: dict[str, Tensor], where: Path) -> None:
    """Put weights into a module.

    Raises:
        ZerotagError: Names, shapes or kinds of numbers are those of another model.
    """
    own = module.state_dict()
    if unknown := sorted(weights.keys() - own.keys()):
        raise ZerotagError(f"{where} has an unknown tensor '{unknown[0]}': it was written by a model of other settings")
    check_weights(own, weights, where)
    module.load_state_dict(weights)


def check_weights(expected: dict[str, Tensor], weights: dict[str, Tensor], where: Path) -> None:
    """Refuse weights that are not, among others, those expected.

    Raises:
        ZerotagError: A tensor is missing, or has another shape or other kinds of numbers.
    """
    for name, tensor in expected.items():
        if name not in weights:
            raise ZerotagError(f"{where} lacks tensor '{name}': it was written by a model of other settings")
        if tensor.shape != weights[name].shape:
            raise ZerotagError(
                f"{where} was written by a model of another shape: '{name}' is {list(weights[name].shape)} there, "
                f"{list(tensor.shape)} here"
            )
        if tensor.dtype != weights[name].dtype:
            raise ZerotagError(
                f"{where} holds other numbers than the model: '{name}' is {weights[name].dtype} there, "
                f"{tensor.dtype} here"
            )


def plain_of(content: bytes) -> Any:
    """The plain data in a file of tensors, the checksum among them.

    Raises:
        ValueError: They are no JSON.
    """
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])  # which safetensors has found to be whole
    return parse_json(header.get("__metadata__", {}).get(ENTRY, "{}"))


def _is_finite(tensor: Tensor) -> bool:
    """Whether all its numbers are finite; as soon as one is not, the sum is not, which is found faster."""
    return bool(torch.isfinite(tensor.sum()) or torch.isfinite(tensor).all())


def _checksum(tensors: dict[str, Tensor], plain: PlainData) -> str:
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
