"""A whole tagger as one ONNX file: pixels and label vectors in, scores out, so that any words can be asked anywhere.

``pixels`` uint8 [b, side, side, 3], RGB, the whole picture brought to a square; ``label_vectors`` float32 [c, d], as
:meth:`zerotag.Tagger.vocabulary` gives them; ``scores`` float32 [b, c]. Computed in float32 throughout.
"""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from zerotag import onnx_maps
from zerotag.backbones import Backbone, create_backbone
from zerotag.errors import MissingPackageError, ZerotagError
from zerotag.locks import alone
from zerotag.models import TaggingModel
from zerotag.storage import full_disk_explained, whole_or_not_at_all
from zerotag.tagging.tagger import Tagger
from zerotag.tagging.words import Vocabulary

EXAMPLES = 2
NAMES, VECTORS_FILE = ("pixels", "label_vectors"), ".labels.npz"


class WholeTagger(nn.Module):
    """Backbone, model and score in one."""

    def __init__(self, backbone: Backbone, model: TaggingModel) -> None:
        super().__init__()
        self.backbone, self.model = backbone, model

    def forward(self, pixels: UInt8[Tensor, "b h w 3"], label_vectors: Float[Tensor, "c d"]) -> Float[Tensor, "b c"]:
        """Raw scores."""
        return self.model.score(self.model.embed(self.backbone(pixels)), label_vectors)


def export_onnx(tagger: Tagger, vocabulary: Vocabulary, file: Path) -> Path:
    """Write the tagger as ONNX, and beside it the vectors of some labels, to begin with.

    Returns:
        the file of the vectors, a NumPy archive of ``labels`` and ``label_vectors``.

    Raises:
        MissingPackageError: what exports to ONNX is not installed.
        ZerotagError: the method cannot be exported, or the disk is full.
    """
    if not onnx_maps.is_available():
        raise MissingPackageError("onnxscript", "pocket", "ONNX")
    whole = whole_tagger(tagger)
    side = tagger.backbone.preprocessing.size_px
    example = torch.zeros(EXAMPLES, side, side, 3, dtype=torch.uint8)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    dynamic = torch.export.Dim.DYNAMIC
    W = torch.cat([vocabulary.W] * EXAMPLES)[: max(EXAMPLES, len(vocabulary.W))]
    with warnings.catch_warnings(), torch.inference_mode(False):
        warnings.simplefilter("ignore")
        try:
            program = torch.onnx.export(
                whole,
                (example, W.clone()),
                dynamo=True,
                dynamic_shapes=({0: dynamic}, {0: dynamic}),
                input_names=list(NAMES),
                output_names=["scores"],
                verbose=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            name = type(tagger.network.model).__name__
            raise ZerotagError(
                f"{name} cannot be exported: what it computes depends on the number of labels"
            ) from error
    assert program is not None
    model = program.model_proto
    record = json.dumps({"preprocessing": tagger.backbone.record()["preprocessing"], "labels": vocabulary.names})
    model.metadata_props.add(key="zerotag", value=record)
    vectors = file.with_suffix(VECTORS_FILE)
    file.parent.mkdir(parents=True, exist_ok=True)
    with (
        alone(file),
        full_disk_explained(file),
        whole_or_not_at_all(file) as model_partial,
        whole_or_not_at_all(vectors) as vectors_partial,
    ):
        model_partial.write_bytes(model.SerializeToString())
        with vectors_partial.open("wb") as opened:
            np.savez(
                opened, labels=np.array(vocabulary.names), label_vectors=vocabulary.W.numpy(), starts=vocabulary.starts
            )
    return vectors


def whole_tagger(tagger: Tagger) -> WholeTagger:
    """The tagger as one module of PyTorch, in float32 on the processor."""
    if tagger.network.backbone is not None:
        backbone = tagger.network.backbone
    else:
        frozen = tagger.backbone
        backbone = create_backbone(
            frozen.name,
            pretrained=not frozen.weights.startswith("random"),
            size_px=frozen.preprocessing.size_px,
            map_side=frozen.map_side,
        )
    return WholeTagger(backbone, tagger.network.model).cpu().eval()
