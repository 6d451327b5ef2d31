"""Feature maps of a frozen backbone through ONNX Runtime: about three times as fast as eager PyTorch on a processor."""

from __future__ import annotations

import json
import logging
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from zerotag.errors import ZerotagError
from zerotag.locks import alone
from zerotag.storage import cache_folder, write_atomically

EXAMPLE_BATCH = 2
RECORD = "zerotag.backbone"
SUM_DIGITS = 8
# an entry of an ONNX model's metadata in protobuf's encoding, but for its last eight characters
SUM = b"\x72\x19\x0a\x0dzerotag.crc32\x12\x08"


def is_available() -> bool:
    """Whether ONNX Runtime and what exports to it are installed; they come with ``zerotag[pocket]``."""
    return all(find_spec(package) for package in ("onnx", "onnxscript", "onnxruntime"))


def exported(name: str, size_px: int, weights: str) -> Path:
    """Where the export of a backbone with these weights lies in the cache, once it was made."""
    key = f"{name}-whole-{size_px}-{weights.replace(':', '-')}-timm{version('timm')}-torch{version('torch')}"
    return cache_folder() / "onnx" / f"{key}.onnx"


class OnnxMaps(nn.Module):
    """A frozen module from normalised pixels to maps, run by ONNX Runtime.

    Each thread takes a picture of its own at a time: threads that share one would wait for each other at each layer,
    and of several at a time the widest layers do not fit into the processor's cache.

    Args:
        file: what :func:`export` wrote.

    Attributes:
        record: what the file was exported from.

    Raises:
        ZerotagError: the file is damaged.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self.session = onnxruntime.InferenceSession(_checked(file), options, providers=["CPUExecutionProvider"])
            self.record: dict[str, Any] = json.loads(self.session.get_modelmeta().custom_metadata_map[RECORD])
        except Exception as error:  # ONNX Runtime raises errors of its own, which share no class
            raise ZerotagError(f"the exported backbone {file} is damaged; delete it, it is made again") from error
        self.pool = ThreadPoolExecutor(torch.get_num_threads())
        self.input_name: str = self.session.get_inputs()[0].name

    def forward(self, pixels: Float[Tensor, "b 3 h w"]) -> list[Float[Tensor, "b _c _h _w"]]:
        """The maps, as the module gives them."""
        found = self.pool.map(lambda one: self.session.run(None, {self.input_name: one.numpy()}), pixels.split(1))
        return [torch.from_numpy(np.concatenate(parts)) for parts in zip(*found, strict=True)]


def export(maps: nn.Module, size_px: int, file: Path, record: dict[str, Any]) -> None:
    """Write a module in evaluation mode as ONNX, for any batch size, with the record of the backbone it belongs to.

    Of several processes one does, and the others wait until it has.
    """
    with alone(file):
        if not file.exists():
            write_atomically(file, _with_sum(_serialised(maps, size_px, record)))


def _serialised(maps: nn.Module, size_px: int, record: dict[str, Any]) -> bytes:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    batch = torch.export.Dim.DYNAMIC
    example = torch.zeros(EXAMPLE_BATCH, 3, size_px, size_px)
    with warnings.catch_warnings(), torch.inference_mode(False):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(maps, (example,), dynamo=True, dynamic_shapes=({0: batch},), verbose=False)
    assert program is not None
    model = program.model_proto
    model.metadata_props.add(key=RECORD, value=json.dumps(record))
    return bytes(model.SerializeToString())


def _with_sum(model: bytes) -> bytes:
    """A model and its CRC-32, as one more entry of its metadata: messages put one after the other are one message."""
    return model + SUM + f"{zlib.crc32(model):08x}".encode()


def _checked(file: Path) -> bytes:
    """A model, unless a bit of it has flipped; an earlier version of zerotag wrote no sum.

    Raises:
        ValueError: it does not have the content that was written.
    """
    content = file.read_bytes()
    model, sum_of_model = content[:-SUM_DIGITS], content[-SUM_DIGITS:]
    if model.endswith(SUM) and _with_sum(model.removesuffix(SUM)) != content:
        raise ValueError(f"checksum {sum_of_model!r}")
    return content
