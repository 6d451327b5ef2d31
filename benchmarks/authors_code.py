"""Methods held against their authors' code: the same weights and inputs, the largest difference of scores and loss.

Run: python benchmarks/authors_code.py BIAM SDL LESA

The three are clones of github.com/akshitac8/BiAM, github.com/Alibaba-MIIL/ZS_SDL and github.com/hbdat/cvpr20_LESA; the
last one needs TensorFlow, any release with compat.v1. None of their lines is copied here; their files are run as they
are, but for calls that a machine without a graphics processor, or a newer release, does not know.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from zerotag.losses import hinge_rank
from zerotag.models import TaggingModel, create_model
from zerotag.models.lesa import LESA

IMAGES, LABELS, VECTOR_DIM = 3, 50, 300
# names of a layer's tensors in zerotag's BiAM, and in the authors'
BIAM_LAYERS = {
    "convolution.0": "conv_3X3.body",
    "convolution.2": "conv_3X3.bn",
    "region_context.query": "region_context_block.w_q",
    "region_context.key": "region_context_block.w_k",
    "region_context.value": "region_context_block.w_v",
    "region_context.output": "region_context_block.w_o",
    "region_context.feed_forward.0": "region_context_block.sub_network.conv1",
    "region_context.feed_forward.2": "region_context_block.sub_network.conv2",
    "scene_context.channel": "scene_context_block.channel_conv.body",
    "scene_context.scene.1": "scene_context_block.w_g",
    "scene_context.feed_forward.0": "scene_context_block.gcff.body",
    "scene_context.feed_forward.2": "scene_context_block.gcff.bn",
    "join": "conv_1X1.body",
    "classifier": "W",
}


def run_file(path: Path) -> dict[str, Any]:
    """What a file of the authors defines."""
    names: dict[str, Any] = {}
    text = path.read_text().replace(".cuda()", "")
    # written for a release of torch that took the operands as a tuple
    exec(text.replace("(x, y))", "x, y)"), names)
    return names


def take_weights(model: TaggingModel, theirs: dict[str, Tensor]) -> None:
    own = model.state_dict()
    for name, tensor in own.items():
        layer, _, kind = name.rpartition(".")
        tensor.copy_(theirs[f"{BIAM_LAYERS[layer]}.{kind}"].view_as(tensor))


def biam(clone: Path, W: Tensor, positives: Tensor) -> None:
    names = run_file(clone / "model.py")
    sizes = SimpleNamespace(channel_dim=256, heads=8)
    theirs = names["BiAM"](sizes, dim_w2v=VECTOR_DIM, dim_feature=[196, 512]).eval()
    ours = create_model("biam", channels={8: 256, 16: 512, 32: 4096}, vector_dim=VECTOR_DIM).eval()
    take_weights(ours, theirs.state_dict())
    maps = {16: torch.randn(IMAGES, 512, 14, 14).relu(), 32: torch.randn(IMAGES, 4096, 7, 7).relu()}
    with torch.inference_mode():
        expected = theirs(maps[16], W, maps[32].mean((2, 3)))
        found = ours.score(ours.embed(maps), W)
    print(f"BiAM scores {(found - expected).abs().max():.0e}, of mean size {expected.abs().mean():.2f}")
    scores = torch.randn(IMAGES, LABELS)
    expected = names["ranking_lossT"](scores, torch.where(positives, 1.0, -1.0))
    print(f"BiAM loss {(hinge_rank(scores, positives).mean() - expected).abs():.0e}, of {expected:.2f}")


def sdl(clone: Path, W: Tensor, positives: Tensor) -> None:
    names = run_file(clone / "src/loss_functions/SDL_loss.py")
    ours = create_model("sdl", channels={8: 8, 16: 8, 32: 64}, vector_dim=VECTOR_DIM, regularisation=0.3)
    S = ours.embed({32: torch.randn(IMAGES, 64, 7, 7)})
    loss = names["SDLLoss"](weight=0.3, wordvec_array=W.T[None])
    expected = loss(S.transpose(1, 2).flatten(1), positives.float())
    print(f"SDL loss {(ours.loss(S, W, positives) - expected).abs():.0e}, of {expected:.2f}")


def lesa(clone: Path, W: Tensor, positives: Tensor) -> None:
    import tensorflow.compat.v1 as tf

    tf.disable_v2_behavior()
    text = (clone / "core/model_share_attention.py").read_text()
    text = text.replace("import tensorflow as tf\n", "").replace("from tensorflow.contrib import slim\n", "")
    names: dict[str, Any] = {"tf": tf}
    exec(text.replace("tf.contrib.layers.variance_scaling_initializer()", "None"), names)
    ours = LESA({8: 8, 16: 512, 32: 8}, VECTOR_DIM).train()
    maps = {16: torch.randn(IMAGES, 512, 14, 14)}
    with torch.no_grad():
        features = ours.regions(maps)
        output = ours(maps)
        found, loss = ours.score(output[:, :-1, :VECTOR_DIM], W), ours.loss(output, W, positives)
    theirs = names["AttentionClassifier"](
        W.numpy(),
        unseen_vecs=W.numpy(),
        trainable_vecs=False,
        dim_w2v=VECTOR_DIM,
        lamb_att_dist=ours.distribution,
        lamb_att_global=ours.global_margin,
        lamb_att_span=ours.span,
    )
    with tf.Session() as session:
        theirs.build_model_rank()
        session.run(tf.global_variables_initializer())
        hidden, attend = ours.attention.hidden, ours.attention.attend
        for variable, layer in ((theirs.w_att_1, hidden), (theirs.w_att_2, attend)):
            session.run(variable.assign(torch.cat([layer.weight.T, layer.bias[None]]).detach().numpy()))
        session.run(theirs.W.assign(ours.projection.weight.T.detach().numpy()))
        given = {theirs.features: features.numpy(), theirs.visual_labels: torch.where(positives, 1.0, -1.0).numpy()}
        scores, expected = session.run([theirs.logits, theirs.loss], given)
    print(f"LESA scores {abs(found.numpy() - scores).max():.0e}, of mean size {abs(scores).mean():.2f}")
    print(f"LESA loss {abs(float(loss) - float(expected)):.0e}, of {expected:.2f}")


def main() -> None:
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    torch.manual_seed(0)
    W, positives = F.normalize(torch.randn(LABELS, VECTOR_DIM), dim=1), torch.rand(IMAGES, LABELS) < 0.2
    biam(Path(sys.argv[1]), W, positives)
    sdl(Path(sys.argv[2]), W, positives)
    lesa(Path(sys.argv[3]), W, positives)


if __name__ == "__main__":
    main()
