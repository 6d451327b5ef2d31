"""Feature extraction with EfficientNet-Lite0, decoding included, against ONNX Runtime alone on the same threads.

Run: python benchmarks/extraction.py [DATA]    (default: pocket-scenes)
"""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace

import numpy as np
import onnxruntime
import torch

from measure import medians, print_table
from zerotag.backbones import frozen_backbone
from zerotag.datasets import load_dataset
from zerotag.features import BATCH_SIZE, extract_features
from zerotag.images import open_picture
from zerotag.memory import keep_freed_memory
from zerotag.onnx_maps import OnnxMaps, exported

NUM_PICTURES, ROUNDS = 480, 3


def main() -> None:
    keep_freed_memory()
    dataset = load_dataset(sys.argv[1] if len(sys.argv) > 1 else "pocket-scenes")
    backbone = frozen_backbone("tf_efficientnet_lite0")
    assert isinstance(backbone.maps, OnnxMaps)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    file = exported(backbone.name, backbone.preprocessing.size_px, backbone.weights)
    session, name = onnxruntime.InferenceSession(file, options), backbone.maps.input_name
    first = replace(dataset, paths=dataset.paths[:NUM_PICTURES], splits=dataset.splits[:NUM_PICTURES])
    pictures = [backbone.preprocessing.pixels(open_picture(dataset.picture(i))) for i in range(BATCH_SIZE)]
    pixels = torch.from_numpy(np.stack(pictures))
    normalised = ((pixels.float() - backbone.mean) / backbone.std).permute(0, 3, 1, 2).contiguous().numpy()

    def onnx_runtime_alone() -> None:
        for _ in range(NUM_PICTURES // BATCH_SIZE):
            session.run(None, {name: normalised})

    def extraction() -> None:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["ZEROTAG_CACHE"] = folder
            extract_features(first, backbone)

    alone, own = medians([onnx_runtime_alone, extraction], ROUNDS)
    row = ("one picture", alone / NUM_PICTURES, own / NUM_PICTURES)
    print_table(f"feature maps of {NUM_PICTURES} pictures", "ONNX Runtime alone", "zerotag with decoding", [row])
    print(f"\nzerotag takes {own / alone:.2f} times as long as ONNX Runtime alone")


if __name__ == "__main__":
    main()
