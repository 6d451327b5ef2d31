"""Which number format is fast on a device."""

from __future__ import annotations

import functools

import torch


@functools.cache
def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """bfloat16 where the processor has instructions for it, else None: float32 is used."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else None
    return torch.bfloat16 if torch.ops.mkldnn._is_mkldnn_bf16_supported() else None


def autocast(device: torch.device) -> torch.autocast:
    """Context in which matrix products run in the fast format of ``device``."""
    dtype = autocast_dtype(device)
    return torch.autocast(device.type, dtype or torch.bfloat16, enabled=dtype is not None)
