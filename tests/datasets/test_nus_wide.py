"""NUS-WIDE in every layout: fake sets are read back as they were drawn, learned from, and damage is named."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerotag.datasets import fake_nus_wide, layout_of, load_dataset, nus_wide, tfrecord
from zerotag.datasets.check import check
from zerotag.errors import MissingPackageError, UnknownNameError, ZerotagError
from zerotag.evaluation import evaluate_run
from zerotag.training.loop import train
from zerotag.training.settings import Settings

SIZE = {"num_images": 160, "num_seen": 20, "num_unseen": 6}
SMALL = {"num_images": 12, "num_seen": 5, "num_unseen": 3}
MODELS = {
    "raw": {"name": "fast0tag", "options": {"hidden": [64]}},
    "hdf5": {"name": "gbe", "options": {"num_groups": 2, "fusion_channels": 16, "grid": 7, "lid": False}},
    "hdf5-table": {"name": "fast0tag", "options": {"hidden": [64]}},
    "tfrecord": {"name": "sdl"},
}
layouts = pytest.mark.parametrize("layout", fake_nus_wide.LAYOUTS)
hdf5_layouts = pytest.mark.parametrize("layout", ["hdf5", "hdf5-table"])


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("fakes")
    for layout in fake_nus_wide.LAYOUTS:
        fake_nus_wide.make(folder / layout, layout, **SIZE)
    return {layout: folder / layout for layout in fake_nus_wide.LAYOUTS}


@pytest.fixture
def small(tmp_path: Path, cache: Path) -> Callable[[str], Path]:
    def make(layout: str) -> Path:
        fake_nus_wide.make(tmp_path / "small", layout, **SMALL)
        return tmp_path / "small"

    return make


@layouts
def test_what_was_drawn_is_read(fakes: dict[str, Path], layout: str) -> None:
    dataset = load_dataset(str(fakes[layout]))
    drawn = fake_nus_wide._draw(*SIZE.values(), 0)
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


@layouts
def test_a_trained_model_beats_chance_on_unseen_labels(fakes: dict[str, Path], layout: str, tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "data": str(fakes[layout]),
            "backbone": {"size_px": 160},
            "vectors": {"source": str(fakes[layout] / "word_vectors.txt")},
            "model": MODELS[layout],
            "optimiser": {"epochs": 12, "batch_size": 16, "learning_rate": 3e-3},
            "selection": {"held_out_labels": 0.0, "held_out_pictures": 0.0},
        }
    )
    run = train(settings, tmp_path / "run")
    report = evaluate_run(run.folder, protocol="sdl").reports["zsl"]
    assert run.labels.unseen == load_dataset(str(fakes[layout])).unseen
    assert report.num_dropped > 0
    assert report.mean_average_precision > 1.3 * report.chance.mean_average_precision


@layouts
def test_a_check_says_what_is_there(fakes: dict[str, Path], layout: str) -> None:
    found = check(str(fakes[layout]))
    assert found.layout == {"raw": "nus-wide", "tfrecord": "tfrecord"}.get(layout, "hdf5")
    assert (found.num_seen, found.num_unseen) == (20, 6)
    assert sum(split.num_images for split in found.splits.values()) == 160
    drawn = fake_nus_wide._draw(*SIZE.values(), 0)
    test = drawn.annotations[drawn.is_test][:, 20:] == 1
    assert found.splits["test"].unseen_positives_per_image == pytest.approx(test.sum(1).mean())
    assert found.splits["test"].images_without_unseen == (~test.any(1)).sum()
    assert any("in print they are 925" in doubt for doubt in found.doubts)
    assert (found.feature_maps is None) == (layout == "raw")


def test_pictures_that_are_none_are_left_out_and_counted(small: Callable[[str], Path]) -> None:
    root = small("raw")
    pictures = sorted((root / "Flickr").rglob("*.jpg"))
    pictures[0].unlink()
    pictures[1].write_bytes(b"x" * 4000)
    found = check(str(root))
    assert sum(split.num_images for split in found.splits.values()) == 10
    assert found.left_out == {"not there": 1, "4000 bytes are too few for a picture": 1}


def test_the_notice_for_deleted_pictures_is_known_by_its_copies(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "fake"
    fake_nus_wide.make(root, "raw", num_images=60, num_seen=5, num_unseen=3)
    pictures = sorted((root / "Flickr").rglob("*.jpg"))
    for picture in pictures[:25]:
        picture.write_bytes(pictures[0].read_bytes())
    (reason,) = check(str(root)).left_out
    assert "stands for a deleted picture" in reason
    assert len(load_dataset(str(root)).paths) == 35


def lines(root: Path, name: str, change: Callable[[list[str]], list[str]]) -> None:
    file = root / name
    file.write_text("".join(change(file.read_text().splitlines(keepends=True))))


TABLE, LIST = "NUS_WID_Tags/AllTags1k.txt", "ImageList/Imagelist.txt"


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda root: (root / TABLE).unlink(), "AllTags1k.txt is not there"),
        (lambda root: (root / "AllLabels" / "Labels_concept01.txt").unlink(), "Labels_concept01.txt is not there"),
        (lambda root: (root / "ConceptsList/Concepts81.txt").unlink(), "Concepts81.txt is not there"),
        (lambda root: lines(root, TABLE, lambda of: of[:-1]), "has 11 lines, but 12 pictures are listed"),
        (lambda root: lines(root, TABLE, lambda of: [*of, of[0]]), "more than 12 lines"),
        (lambda root: lines(root, TABLE, lambda of: [*of[:3], "0\t1\t\n", *of[4:]]), "line 4 has 2 numbers, not 7"),
        (lambda root: lines(root, TABLE, lambda of: [of[0].replace("0", "2", 1), *of[1:]]), "other signs than 0, 1"),
        (lambda root: lines(root, LIST, lambda of: [of[0], *of]), "lists 1 pictures more than once"),
        (lambda root: lines(root, LIST, lambda of: of[1:]), "1 pictures that Imagelist.txt lacks"),
        (lambda root: (root / LIST).unlink(), "Imagelist.txt cannot be read"),
        (
            lambda root: (root / "ImageList/TestImagelist.txt").write_text((root / LIST).read_text()),
            "both for training and for testing",
        ),
        (lambda root: [file.unlink() for file in (root / "Flickr").rglob("*.jpg")], "none of the 12 pictures"),
    ],
)
def test_what_is_wrong_with_a_copy_is_named(
    small: Callable[[str], Path], harm: Callable[[Path], Any], message: str
) -> None:
    root = small("raw")
    harm(root)
    with pytest.raises(ZerotagError, match=message):
        load_dataset(str(root))


def test_copies_differ_in_their_separators(small: Callable[[str], Path]) -> None:
    root = small("raw")
    expected = load_dataset(str(root))
    for name, old, new in ((TABLE, "\t", " "), (LIST, "\\", "/")):
        (root / name).write_text((root / name).read_text().replace(old, new))
    (root / "ConceptsList" / "Concepts81.txt").rename(root / "Concepts81.txt")
    found = load_dataset(str(root))
    assert found.paths == expected.paths
    np.testing.assert_array_equal(found.annotations, expected.annotations)


@pytest.mark.parametrize("block", [1, 7, 64])
def test_tables_are_read_in_blocks(small: Callable[[str], Path], block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    root = small("raw")
    whole = nus_wide.read_table(root / TABLE, 12, 7)
    monkeypatch.setattr(nus_wide, "BLOCK_BYTES", block)
    np.testing.assert_array_equal(nus_wide.read_table(root / TABLE, 12, 7), whole)


def rewrite(root: Path, change: Callable[[h5py.File], None], split: str = "train") -> None:
    with h5py.File(root / "features" / f"nus_wide_{split}.h5", "r+") as opened:
        change(opened)


def replace(opened: h5py.File, ending: str, data: Any) -> None:
    key = next(key for key in opened if key.endswith(ending))
    del opened[key]
    opened[key] = data


def remove(opened: h5py.File, ending: str) -> None:
    del opened[next(key for key in opened if key.endswith(ending))]


@pytest.mark.parametrize(
    ("layout", "harm", "message"),
    [
        ("hdf5", lambda f: replace(f, "-features", np.zeros(4096, np.float32)), "vectors of 4096 numbers"),
        ("hdf5", lambda f: replace(f, "-features", np.zeros((512, 49), np.float32)), r"is \(512, 49\), not"),
        ("hdf5", lambda f: remove(f, "-labels"), "-labels' is not there beside its features"),
        ("hdf5", lambda f: replace(f, "-labels", np.ones(6, np.int8)), "has 6 labels; 5 or 8 were expected"),
        ("hdf5", lambda f: replace(f, "-labels", np.full(5, 3, np.int8)), "labels go from -1 to 3"),
        ("hdf5", lambda f: f.clear(), "holds neither"),
        ("hdf5-table", lambda f: remove(f, "labels"), "has 'image_files' but no 'labels'"),
        ("hdf5-table", lambda f: replace(f, "features", np.zeros((3, 4096))), "do not fit together"),
        ("hdf5-table", lambda f: replace(f, "labels", np.ones((len(f["image_files"]), 4))), "has 4 labels"),
        ("hdf5-table", lambda f: replace(f, "labels", np.ones((len(f["image_files"]), 5))), "labels go from 0 to 1"),
    ],
)
def test_what_is_wrong_with_a_feature_file_is_named(
    small: Callable[[str], Path], layout: str, harm: Callable[[h5py.File], None], message: str
) -> None:
    root = small(layout)
    rewrite(root, harm)
    with pytest.raises(ZerotagError, match=message) as caught:
        load_dataset(str(root))
    assert "nus_wide_train.h5" in str(caught.value)


@hdf5_layouts
def test_a_file_that_was_cut_off_is_named(small: Callable[[str], Path], layout: str) -> None:
    root = small(layout)
    file = root / "features" / "nus_wide_test.h5"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ZerotagError, match=r"nus_wide_test.h5 cannot be read, it may have been cut off"):
        load_dataset(str(root))


def test_a_file_of_no_known_split_is_named(small: Callable[[str], Path]) -> None:
    root = small("hdf5")
    (root / "features" / "nus_wide_test.h5").rename(root / "features" / "nus_wide.h5")
    with pytest.raises(ZerotagError, match="neither 'train' nor 'test'"):
        load_dataset(str(root))


def test_annotations_come_from_the_cache_until_the_file_changes(
    small: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from zerotag.datasets import hdf5

    root = small("hdf5")
    expected = load_dataset(str(root)).annotations
    with monkeypatch.context() as patch:
        patch.setattr(hdf5, "_annotations", lambda *_: pytest.fail("read again"))
        np.testing.assert_array_equal(load_dataset(str(root)).annotations, expected)
    rewrite(root, lambda f: replace(f, "-labels", -f[next(key for key in f if key.endswith("-labels"))][()]))
    assert (load_dataset(str(root)).annotations != expected).any()


def test_records_hold_the_same_maps_as_the_other_layout(fakes: dict[str, Path]) -> None:
    ours, theirs = (load_dataset(str(fakes[layout])) for layout in ("tfrecord", "hdf5"))
    assert ours.maps is not None and theirs.maps is not None
    rows = np.array([0, 7, 80, 159])
    names = [theirs.paths[row] for row in rows]
    same = [[path.split("Flickr/")[1].replace("/", "_") for path in ours.paths].index(name) for name in names]
    np.testing.assert_allclose(ours.maps.batch(np.array(same))[16], theirs.maps.batch(rows)[16], rtol=1e-3, atol=1e-6)


def records_file(root: Path) -> Path:
    return root / "NUS_WIDE_Train_full_feature_ZLIB.tfrecords"


def repacked(root: Path, change: Callable[[dict[str, bytes]], Any]) -> None:
    """The first record with another content, and valid checksums."""
    first, *others = tfrecord.records(records_file(root))
    content = tfrecord.parse_example(first)
    change(content)
    tfrecord.write_records(records_file(root), iter([tfrecord.make_example(content), *others]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda of: of.pop("label_81"), "record 1 has no 'label_81', but img_id"),
        (lambda of: of.update(feature=of["feature"][:400]), "'feature' has 100 numbers, not 100352"),
        (lambda of: of.update(label_1k=of["label_1k"][:-4]), "'label_1k' has 6 numbers, not 7"),
        (lambda of: of.update(label_81=np.full(3, 5, np.float32).tobytes()), "a label is 5; 1, 0 and -1 were"),
    ],
)
def test_what_is_wrong_with_a_record_is_named(
    small: Callable[[str], Path], change: Callable[[dict[str, bytes]], Any], message: str
) -> None:
    root = small("tfrecord")
    repacked(root, change)
    with pytest.raises(ZerotagError, match=message):
        load_dataset(str(root))


def test_damaged_records_are_named_and_nothing_half_unpacked_is_used(small: Callable[[str], Path]) -> None:
    root = small("tfrecord")
    file = records_file(root)
    whole = file.read_bytes()
    damages = {
        "was cut off": whole[: len(whole) // 2],
        "no ZLIB stream": b"PNG" + whole[3:],
        "no ZLIB stream or a damaged one": whole[:5000] + bytes([whole[5000] ^ 255]) + whole[5001:],
        "does not have the content it was written with": zlib.compress(
            (lambda b: b[:5000] + bytes([b[5000] ^ 1]) + b[5001:])(zlib.decompress(whole))
        ),
        "holds no records": zlib.compress(b""),
    }
    for message, content in damages.items():
        file.write_bytes(content)
        with pytest.raises(ZerotagError, match=message):
            load_dataset(str(root))
    file.write_bytes(whole)
    assert len(load_dataset(str(root)).paths) == 12


@given(st.dictionaries(st.text(max_size=8), st.binary(max_size=300), max_size=4))
def test_examples_come_back(content: dict[str, bytes]) -> None:
    assert tfrecord.parse_example(tfrecord.make_example(content)) == content


@given(st.binary(max_size=100))
def test_what_is_no_example_is_a_value_error(content: bytes) -> None:
    with suppress(ValueError):
        tfrecord.parse_example(content)


def test_maps_without_pictures_cannot_do_what_needs_pictures(small: Callable[[str], Path], tmp_path: Path) -> None:
    root = small("hdf5")
    with pytest.raises(ZerotagError, match="holds feature maps and no pictures"):
        load_dataset(str(root)).picture(0)
    settings = {
        "data": str(root),
        "model": {"name": "sdl"},
        "vectors": {"source": str(root / "word_vectors.txt")},
        "backbone": {"train": True},
    }
    with pytest.raises(ZerotagError, match="backbone cannot be trained"):
        train(Settings.model_validate(settings), tmp_path / "run")


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


def test_folders_of_pictures_are_still_folders_of_pictures(squares: Path) -> None:
    assert layout_of(squares) == "folder"
    found = check(str(squares))
    assert found.num_unseen == 0 and found.splits["train"].unseen_positives_per_image is None
