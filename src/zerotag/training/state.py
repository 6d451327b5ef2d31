"""All that the rest of a training depends on: weights, optimiser, random state, and how far it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn
from torch.optim import Optimizer, RMSprop

from zerotag.json_files import damaged, first_fault
from zerotag.training.checkpoint import PlainData, load_tensors, load_weights, save_tensors
from zerotag.training.log import Line

START_AGAIN = "delete it to train from the start, with --resume"
MOVING = ("lr", "betas", "momentum")  # what a schedule changes
Number = Annotated[int, Field(ge=0)]


class State(BaseModel):
    """How far the training is; all that a checkpoint holds besides tensors and the groups of the optimiser."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    step: Number = 0
    epoch_loss: float = 0.0
    without_labels: Number = 0
    seconds: float = 0.0
    best_epoch: Number = 0
    best_score: float = -1.0
    log: list[Line] = []

    @classmethod
    def of(cls, path: Path, plain: PlainData) -> State:
        """The state in the plain data of a checkpoint.

        Raises:
            ZerotagError: It does not hold.
        """
        try:
            return cls.model_validate(plain.get("progress"))
        except ValidationError as error:
            raise damaged(path, f"its progress: {first_fault(error)}", START_AGAIN) from error

    def fits(self, steps_per_epoch: int, epochs: int) -> bool:
        """Whether a training of so many steps can be there."""
        done = self.step // steps_per_epoch
        numbers = [line.epoch for line in self.log]
        return done <= epochs and numbers == list(range(1, done + 1)) and min(done, 1) <= self.best_epoch <= done


def save_checkpoint(path: Path, network: nn.Module, optimiser: Optimizer, state: State) -> None:
    """Write the checkpoint."""
    of_optimiser = optimiser.state_dict()
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for index, slots in of_optimiser["state"].items():
        tensors |= {f"optimiser.{index}.{slot}": tensor for slot, tensor in slots.items()}
    tensors["random"] = torch.get_rng_state()
    plain = {"groups": of_optimiser["param_groups"], "progress": state.model_dump(exclude_none=True)}
    save_tensors(path, tensors, plain)


def load_checkpoint(path: Path, network: nn.Module, optimiser: Optimizer) -> State:
    """Set everything back to where :func:`save_checkpoint` saw it; returns how far the training was.

    Raises:
        ZerotagError: The file is damaged or belongs to a model of another shape.
    """
    tensors, plain = load_tensors(path, START_AGAIN)
    weights = {n.removeprefix("network."): t for n, t in tensors.items() if n.startswith("network.")}
    try:
        state = State.of(path, plain)
        slots = _slots(optimiser, tensors)
        groups = _groups(optimiser, plain.get("groups"))
        load_weights(network, weights, path)
        optimiser.load_state_dict({"state": slots, "param_groups": groups})
        torch.set_rng_state(tensors["random"])
    except KeyError as error:
        raise damaged(path, f"{error} is not in it", START_AGAIN) from error
    except (ValueError, TypeError, RuntimeError) as error:
        raise damaged(path, str(error), START_AGAIN) from error
    return state


def _slots(optimiser: Optimizer, tensors: dict[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """What the optimiser keeps of each parameter.

    Raises:
        ValueError: It is what another optimiser keeps, or of other parameters.
    """
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    expected = {"step", "exp_avg", "exp_avg_sq"}
    if isinstance(optimiser, RMSprop):
        expected = {"step", "square_avg"} | ({"momentum_buffer"} if optimiser.defaults["momentum"] else set())
    found: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimiser."):
            _, index, slot = name.split(".", 2)
            if not index.isdecimal() or int(index) >= len(parameters) or slot not in expected:
                raise ValueError(f"'{name}' is nothing that this optimiser keeps")
            shape = torch.Size() if slot == "step" else parameters[int(index)].shape
            if tensor.shape != shape or not tensor.is_floating_point():
                raise ValueError(f"'{name}' has another shape, or other numbers, than the weights it belongs to")
            found.setdefault(int(index), {})[slot] = tensor
    for number, slots in found.items():
        if missing := expected - slots.keys():
            raise ValueError(f"'optimiser.{number}.{min(missing)}' is missing")
    return found


def _groups(optimiser: Optimizer, saved: Any) -> list[PlainData]:
    """The optimiser's settings, of which the file says only what a schedule changes.

    Raises:
        ValueError: The file says what is no such number.
    """
    groups: list[PlainData] = optimiser.state_dict()["param_groups"]
    if not isinstance(saved, list) or len(saved) != len(groups) or not all(isinstance(one, dict) for one in saved):
        raise ValueError("the settings of the optimiser are not those of this training")
    for group, of_file in zip(groups, saved, strict=True):
        for name in group.keys() & set(MOVING):
            values = of_file[name] if isinstance(group[name], tuple) else [of_file[name]]
            if not isinstance(values, list) or not all(type(value) in (int, float) and value >= 0 for value in values):
                raise ValueError(f"'{name}' of the optimiser is not a number")
            if len(values) != (len(group[name]) if isinstance(group[name], tuple) else 1):
                raise ValueError(f"'{name}' of the optimiser has another length")
            group[name] = tuple(values) if isinstance(group[name], tuple) else values[0]
    return groups
