"""The state of a training run on disk: tensors and plain data in one safetensors file, written whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from zerotag.errors import ZerotagError
from zerotag.storage import write_atomically

PlainData = dict[str, Any]


def save_tensors(path: Path, tensors: dict[str, Tensor], plain: PlainData | None = None) -> None:
    """Write named tensors, with plain data beside them, atomically."""
    # shared storage and strides do not survive the format; a copy of each tensor does
    whole = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    write_atomically(path, save(whole, {"plain": json.dumps(plain or {})}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], PlainData]:
    """Read what :func:`save_tensors` wrote.

    Raises:
        ZerotagError: the file is missing or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            plain = json.loads((file.metadata() or {}).get("plain", "{}"))
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, plain
    except (OSError, SafetensorError) as error:
        raise ZerotagError(f"{path} cannot be read ({error}); train the run again") from error


def load_weights(module: nn.Module, weights: dict[str, Tensor], where: Path) -> None:
    """Put weights into a module.

    Raises:
        ZerotagError: names or shapes are those of another model.
    """
    own = module.state_dict()
    for name in own.keys() ^ weights.keys():
        side = "lacks" if name in own else "has an unknown"
        raise ZerotagError(f"{where} {side} tensor '{name}': it was written by a model of other settings")
    for name, tensor in own.items():
        if tensor.shape != weights[name].shape:
            raise ZerotagError(
                f"{where} was written by a model of another shape: '{name}' is {list(weights[name].shape)} there, "
                f"{list(tensor.shape)} here"
            )
    module.load_state_dict(weights)


def save_checkpoint(
    path: Path, network: nn.Module, optimiser: Optimizer, schedule: LRScheduler, progress: PlainData
) -> None:
    """Write all that the rest of the training depends on: weights, optimiser, schedule, random state, progress."""
    state = optimiser.state_dict()
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for index, slots in state["state"].items():
        tensors |= {f"optimiser.{index}.{slot}": tensor for slot, tensor in slots.items()}
    tensors["random"] = torch.get_rng_state()
    plain = {"groups": state["param_groups"], "schedule": schedule.state_dict(), "progress": progress}
    save_tensors(path, tensors, plain)


def load_checkpoint(path: Path, network: nn.Module, optimiser: Optimizer, schedule: LRScheduler) -> PlainData:
    """Set everything back to where :func:`save_checkpoint` saw it; returns the progress.

    Raises:
        ZerotagError: the file is damaged or belongs to a model of another shape.
    """
    tensors, plain = load_tensors(path)
    weights = {n.removeprefix("network."): t for n, t in tensors.items() if n.startswith("network.")}
    load_weights(network, weights, path)
    slots: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser."):
            _, index, slot = name.split(".")
            slots.setdefault(int(index), {})[slot] = tensor
    optimiser.load_state_dict({"state": slots, "param_groups": plain["groups"]})
    schedule.load_state_dict(plain["schedule"])
    torch.set_rng_state(tensors["random"])
    progress: PlainData = plain["progress"]
    return progress
