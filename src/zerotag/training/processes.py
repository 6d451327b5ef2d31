"""Training by several processes at once, one a graphics processor, as ``torchrun`` starts them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from zerotag.errors import ZerotagError
from zerotag.progress import Progress, silent


@dataclass(frozen=True)
class Processes:
    """Those that train one model together.

    Attributes:
        rank: number of this one; 0 is the one that writes and reports.
        count: how many there are.
    """

    rank: int
    count: int

    @property
    def is_first(self) -> bool:
        """Whether this one writes and reports."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all others have come to the same place."""
        if self.count > 1:
            dist.barrier()

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """What the first process does before the others do it: they find what it left in the cache."""
        if not self.is_first:
            self.wait()
        yield
        if self.is_first:
            self.wait()

    def sum(self, value: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.count > 1:
            dist.all_reduce(value)
        return value

    def joined(self, network: nn.Module) -> nn.Module:
        """The network with gradients that are the mean over all processes; batch statistics too, but on a CPU."""
        if self.count == 1:
            return network
        if torch.cuda.is_available():
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
        return DistributedDataParallel(network)

    def shares(self, batch_size: int, parts: int) -> list[slice]:
        """Which rows of a batch are this process's, in ``parts`` of equal size, one after the other.

        Raises:
            ZerotagError: the batch cannot be cut into so many equal parts.
        """
        number = self.count * parts
        if batch_size % number:
            raise ZerotagError(
                f"a batch of {batch_size} cannot be cut into {number} equal parts ({self.count} processes, "
                f"{parts} parts each); set optimiser.batch_size to a multiple of {number}"
            )
        size = batch_size // number
        first = self.rank * parts * size
        return [slice(first + part * size, first + (part + 1) * size) for part in range(parts)]

    def reporting(self, progress: Progress) -> Progress:
        """The first process's progress; the others are silent."""
        return progress if self.is_first else silent


@contextmanager
def processes() -> Iterator[Processes]:
    """Those that ``torchrun`` started, in touch with each other; this one alone where it was not started so."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Processes(0, 1)
        return
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Processes(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
