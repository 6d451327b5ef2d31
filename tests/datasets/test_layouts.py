"""Every layout: fake sets are read back as they were drawn, checked, and learned from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fake_sizes import SIZE, SMALL
from zerotag.datasets import LAYOUTS, fake_nus_wide, fake_open_images, layout_of, load_dataset
from zerotag.datasets.check import check
from zerotag.datasets.fake_set import draw
from zerotag.errors import MissingPackageError, UnknownNameError, ZerotagError
from zerotag.evaluation import evaluate_run
from zerotag.tagging.tagger import Tagger
from zerotag.training.loop import train
from zerotag.training.settings import Settings

MODELS = {
    "raw": {"name": "fast0tag", "options": {"hidden": [64]}},
    "hdf5": {"name": "gbe", "options": {"num_groups": 2, "fusion_channels": 16, "grid": 7, "lid": False}},
    "hdf5-table": {"name": "fast0tag", "options": {"hidden": [64]}},
    "tfrecord": {"name": "sdl"},
    "ml2p": {"name": "fast0tag", "options": {"hidden": [64]}},
    "ml-decoder": {"name": "fast0tag", "options": {"hidden": [64]}},
    "coco": {"name": "sdl"},
}
MAPS_ALONE = ("hdf5", "hdf5-table", "tfrecord")
VGG19 = {"name": "vgg19", "size_px": 64, "pretrained": False}
layouts = pytest.mark.parametrize("layout", [name for name in fake_nus_wide.LAYOUTS if name != "coco"])
hdf5_layouts = pytest.mark.parametrize("layout", ["hdf5", "hdf5-table"])


@layouts
def test_what_was_drawn_is_read(fakes: dict[str, Path], layout: str) -> None:
    dataset = load_dataset(str(fakes[layout]))
    drawn = draw(*SIZE.values(), 0)
    assert dataset.labels == drawn.labels.all and dataset.unseen == drawn.labels.unseen
    plain = [name.replace("/", "_") if layout == "hdf5" else name for name in drawn.names]
    rows = [plain.index(path.removeprefix("./data/NUS_WIDE/Flickr/")) for path in dataset.paths]
    assert sorted(rows) == list(range(len(plain)))
    np.testing.assert_array_equal(np.array(dataset.splits) == "test", drawn.is_test[rows])
    annotations, expected = dataset.annotations, drawn.annotations[rows]
    if layout == "hdf5-table":  # the training file has nothing about unseen labels
        np.testing.assert_array_equal(annotations[dataset.rows("train")][:, 20:], 0)
        annotations, expected = annotations[dataset.rows("test")], expected[dataset.rows("test")]
    np.testing.assert_array_equal(annotations, expected)


@pytest.mark.parametrize("layout", ["hdf5", "hdf5-table", "tfrecord"])
def test_maps_are_read_in_the_order_asked_for(fakes: dict[str, Path], layout: str) -> None:
    maps = load_dataset(str(fakes[layout])).maps
    assert maps is not None
    asked = np.array([150, 3, 70, 4, 159])
    batch = maps.batch(asked)
    assert {stride: one.shape[1] for stride, one in batch.items()} == maps.channels
    for position, index in enumerate(asked):
        for stride, one in maps.batch(np.array([index])).items():
            np.testing.assert_array_equal(batch[stride][position], one[0])
    if layout != "hdf5-table":
        assert batch[16].shape == (5, 512, 14, 14) and batch[32].shape == (5, 512, 7, 7)
        assert (batch[32] == batch[16].unflatten(3, (7, 2)).unflatten(2, (7, 2)).amax((3, 5))).all()


@pytest.mark.parametrize("layout", fake_nus_wide.LAYOUTS)
def test_a_trained_model_beats_chance_on_unseen_labels_and_tags(
    fakes: dict[str, Path], layout: str, tmp_path: Path
) -> None:
    settings = Settings.model_validate(
        {
            "data": str(fakes[layout]),
            "backbone": VGG19 if layout in MAPS_ALONE else {"size_px": 160},
            "vectors": {"source": str(fakes[layout] / "word_vectors.txt")},
            "model": MODELS[layout],
            "optimiser": {"epochs": 12, "batch_size": 16, "learning_rate": 3e-3},
            "selection": {"held_out_labels": 0.0, "held_out_pictures": 0.0},
        }
    )
    run = train(settings, tmp_path / "run")
    report = evaluate_run(run.folder, protocol="sdl").reports["zsl"]
    assert run.labels.unseen == (load_dataset(str(fakes[layout])).unseen or run.labels.unseen) != ()
    assert report.num_dropped > 0
    assert report.mean_average_precision > 1.3 * report.chance.mean_average_precision
    pictures = sorted((fakes["raw"] / "Flickr").rglob("*.jpg"))[:2]
    tags = Tagger.load(run.folder).tag(pictures, ["tag0001", "concept01"])
    assert [{tag.label for tag in of} for of in tags] == [{"tag0001", "concept01"}] * 2


@layouts
def test_a_check_says_what_is_there(fakes: dict[str, Path], layout: str) -> None:
    found = check(str(fakes[layout]))
    assert found.layout == {"raw": "nus-wide", "hdf5-table": "hdf5"}.get(layout, layout)
    assert (found.num_seen, found.num_unseen) == (20, 6)
    assert sum(split.num_images for split in found.splits.values()) == 160
    drawn = draw(*SIZE.values(), 0)
    test = drawn.annotations[drawn.is_test][:, 20:] == 1
    assert found.splits["test"].unseen_positives_per_image == pytest.approx(test.sum(1).mean())
    assert found.splits["test"].images_without_unseen == (~test.any(1)).sum()
    assert any("in print they are 925" in doubt for doubt in found.doubts) == (layout != "ml-decoder")
    assert (found.feature_maps is None) == (layout in ("raw", "ml2p", "ml-decoder"))


def test_h5py_not_installed(small: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    root = small("hdf5")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingPackageError, match=r"zerotag\[formats\]"):
        load_dataset(str(root))
    with pytest.raises(MissingPackageError, match=r"zerotag\[formats\]"):
        fake_nus_wide.make(tmp_path / "other", "hdf5", **SMALL)


def test_a_fake_set_is_not_written_over_anything(small: Callable[[str], Path], tmp_path: Path) -> None:
    root = small("raw")
    with pytest.raises(ZerotagError, match="is not empty"):
        fake_nus_wide.make(root, "raw", **SMALL)
    with pytest.raises(UnknownNameError, match="did you mean: raw"):
        fake_nus_wide.make(tmp_path / "new", "rwa", **SMALL)
    with pytest.raises(ZerotagError, match="needs 10 images"):
        fake_nus_wide.make(tmp_path / "new", "raw", **SMALL | {"num_images": 3})


def test_every_layout_is_described_and_recognised_as_itself_alone(
    fakes: dict[str, Path], squares: Path, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
    for name in LAYOUTS:
        assert f"(`{name}`" in page
    for layout in fake_open_images.LAYOUTS:
        fake_open_images.make(tmp_path / layout, layout, **SMALL)
    roots = [squares, *fakes.values(), *(tmp_path / layout for layout in fake_open_images.LAYOUTS)]
    found = {root: [name for name, layout in LAYOUTS.items() if layout.recognises(root)] for root in roots}
    assert {name for names in found.values() for name in names} == set(LAYOUTS)
    # feature files of Open Images lie beside the lists that its pictures have, and go before them
    several = [names for names in found.values() if len(names) > 1]
    assert several == [["open-images-hdf5", "open-images"], ["open-images-tfrecord", "open-images"]]


def test_folders_of_pictures_are_still_folders_of_pictures(squares: Path) -> None:
    assert layout_of(squares) == "folder"
    found = check(str(squares))
    assert found.num_unseen == 0 and found.splits["train"].unseen_positives_per_image is None
