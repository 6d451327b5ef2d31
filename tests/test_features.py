from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from zerotag import features
from zerotag.backbones import Backbone, create_backbone
from zerotag.datasets import PictureDataset
from zerotag.datasets.folder import read_folder
from zerotag.errors import ZerotagError
from zerotag.features import cached_features, extract_features
from zerotag.images import BadPictureError, open_picture
from zerotag.strides import WHOLE


@pytest.fixture(autouse=True)
def small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROTAG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(features, "BATCH_SIZE", 4)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    made = create_backbone("tf_efficientnet_lite0", pretrained=False, size_px=32)
    return made.eval().requires_grad_(False)


@pytest.fixture
def dataset(tmp_path: Path) -> PictureDataset:
    root = tmp_path / "pictures"
    root.mkdir()
    for number in range(10):
        Image.new("RGB", (40, 30), (25 * number, 90, 200)).save(root / f"{number}.png")
    write_table(root, 10)
    return read_folder(root)


def write_table(root: Path, number: int) -> None:
    lines = [json.dumps({"path": f"{i}.png", "labels": ["dog"]}) for i in range(number)]
    (root / "labels.jsonl").write_text("\n".join(lines))


class Counter:
    """Progress that remembers the last count, and stops the work after some of it."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.calls, self.stop_after = 0, stop_after

    def __call__(self, what: str, done: int, total: int) -> None:
        self.calls += what == "Extracting feature maps"
        if self.calls == self.stop_after:
            raise KeyboardInterrupt


def test_maps_are_those_of_the_backbone_in_half_precision(dataset: PictureDataset, backbone: Backbone) -> None:
    cached = extract_features(dataset, backbone)
    assert len(cached) == 10 and cached.done.all()
    pixels = np.stack([backbone.preprocessing.pixels(open_picture(dataset.picture(i))) for i in (7, 2)])
    with torch.inference_mode():
        expected = backbone(torch.from_numpy(pixels))
    found = cached.batch(np.array([7, 2]))
    assert {stride: tuple(maps.shape[1:]) for stride, maps in found.items()} == {
        8: (40, 4, 4),
        16: (112, 2, 2),
        32: (320, 1, 1),
        WHOLE: (1280, 1, 1),
    }
    for stride, maps in found.items():
        assert maps.dtype == torch.float16
        torch.testing.assert_close(maps.float(), expected[stride], rtol=2e-3, atol=2e-3)


def test_what_is_there_is_not_made_again(dataset: PictureDataset, backbone: Backbone) -> None:
    extract_features(dataset, backbone)
    again = Counter()
    extract_features(dataset, backbone, progress=again)
    cached_features(dataset, backbone, progress=again)
    assert again.calls == 0


def test_an_interrupted_extraction_goes_on(dataset: PictureDataset, backbone: Backbone) -> None:
    with pytest.raises(KeyboardInterrupt):
        extract_features(dataset, backbone, progress=Counter(stop_after=1))
    rest = Counter()
    cached = cached_features(dataset, backbone, progress=rest)
    assert rest.calls == 2 and cached.done.all()
    stride8 = np.array(cached.maps[8].rows)
    shutil.rmtree(cached.folder)
    np.testing.assert_array_equal(extract_features(dataset, backbone).maps[8].rows, stride8)


def test_a_changed_picture_is_refused_until_its_maps_are_made_anew(dataset: PictureDataset, backbone: Backbone) -> None:
    before = np.array(extract_features(dataset, backbone).maps[16].rows)
    Image.new("RGB", (40, 30), (0, 255, 0)).save(dataset.picture(3))
    with pytest.raises(
        ZerotagError, match=r"1 pictures .* changed .* such as '3\.png'; run: zerotag features .* --size-px 32$"
    ):
        cached_features(dataset, backbone)
    counter = Counter()
    after = extract_features(dataset, backbone, progress=counter).maps[16].rows
    assert counter.calls == 1
    assert [i for i in range(10) if (before[i] != after[i]).any()] == [3]


def test_a_picture_that_was_only_touched_is_not_made_again(dataset: PictureDataset, backbone: Backbone) -> None:
    extract_features(dataset, backbone)
    dataset.picture(3).touch()
    counter = Counter()
    cached_features(dataset, backbone, progress=counter)
    assert counter.calls == 0


def test_a_picture_added_is_refused(dataset: PictureDataset, backbone: Backbone) -> None:
    extract_features(dataset, backbone)
    shutil.copy(dataset.picture(0), dataset.root / "10.png")
    write_table(dataset.root, 11)
    with pytest.raises(ZerotagError, match=r"were added .* or taken away"):
        cached_features(read_folder(dataset.root), backbone)


def test_other_weights_have_maps_of_their_own(dataset: PictureDataset, backbone: Backbone) -> None:
    one = extract_features(dataset, backbone)
    larger = create_backbone("tf_efficientnet_lite0", pretrained=False, size_px=64).eval().requires_grad_(False)
    assert extract_features(dataset, larger).folder != one.folder


def test_averaged_maps_have_a_cache_of_their_own(dataset: PictureDataset, backbone: Backbone) -> None:
    one = extract_features(dataset, backbone)
    averaged = create_backbone("tf_efficientnet_lite0", pretrained=False, size_px=64, map_side=1).eval()
    two = extract_features(dataset, averaged.requires_grad_(False))
    assert two.folder != one.folder and two.maps[8].rows.shape[-2:] == (4, 4)
    shutil.copy(dataset.picture(0), dataset.picture(3))
    with pytest.raises(ZerotagError, match=r"--size-px 64 --map-side 1$"):
        cached_features(dataset, averaged)


def test_a_damaged_cache_is_named(dataset: PictureDataset, backbone: Backbone) -> None:
    folder = extract_features(dataset, backbone).folder
    (folder / "stride8.npy").write_bytes((folder / "stride8.npy").read_bytes()[:200])
    with pytest.raises(ZerotagError, match=r"stride8\.npy is damaged .*delete the folder"):
        cached_features(dataset, backbone)


def test_a_bad_picture_stops_the_extraction_by_name(dataset: PictureDataset, backbone: Backbone) -> None:
    dataset.picture(5).write_bytes(b"no picture")
    with pytest.raises(BadPictureError, match=r"5\.png cannot be read"):
        extract_features(dataset, backbone)
