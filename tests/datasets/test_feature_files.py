"""Feature maps in HDF5 and TFRecord files: damage is named, nothing half-read is used."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from zerotag.datasets import load_dataset, tfrecord
from zerotag.errors import ZerotagError
from zerotag.kept_maps import KeptMaps, keep_maps, kept_maps
from zerotag.progress import silent
from zerotag.training.loop import train
from zerotag.training.prepare import inputs_for
from zerotag.training.settings import Settings

hdf5_layouts = pytest.mark.parametrize("layout", ["hdf5", "hdf5-table"])


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


def names_of(root: str) -> tuple[str, ...]:
    dataset = load_dataset(root)
    keep_maps(dataset)
    return dataset.paths


def test_two_processes_unpack_and_keep_the_same_files_at_once(small: Callable[[str], Path], cache: Path) -> None:
    root = str(small("tfrecord"))
    with get_context("spawn").Pool(2) as pool:
        first, second = pool.map(names_of, [root, root], chunksize=1)
    assert first == second == load_dataset(root).paths
    assert not list(cache.rglob("*partial*"))


@given(st.dictionaries(st.text(max_size=8), st.binary(max_size=300), max_size=4))
def test_examples_come_back(content: dict[str, bytes]) -> None:
    assert tfrecord.parse_example(tfrecord.make_example(content)) == content


@given(st.binary(max_size=100))
def test_what_is_no_example_is_a_value_error(content: bytes) -> None:
    with suppress(ValueError):
        tfrecord.parse_example(content)


@pytest.mark.parametrize("layout", ["hdf5", "hdf5-table", "tfrecord"])
def test_maps_are_kept_in_half_precision_and_used_from_there(small: Callable[[str], Path], layout: str) -> None:
    dataset = load_dataset(str(small(layout)))
    assert dataset.maps is not None
    assert kept_maps(dataset) is None
    kept = keep_maps(dataset)
    rows = np.array([3, 0, 11])
    for stride, stored in dataset.maps.batch(rows).items():
        torch.testing.assert_close(kept.batch(rows)[stride], stored.half())
    assert kept.record() == dataset.maps.record()
    assert keep_maps(dataset).folder == kept.folder
    settings = Settings.model_validate({"data": str(dataset.root), "model": {"name": "sdl"}})
    assert isinstance(inputs_for(settings, dataset, dataset.maps, silent), KeptMaps)


def test_numbers_that_half_precision_does_not_know_are_named(small: Callable[[str], Path]) -> None:
    root = small("hdf5")
    rewrite(root, lambda f: replace(f, "-features", np.full((512, 196), 1e6, np.float32)))
    dataset = load_dataset(str(root))
    with pytest.raises(ZerotagError, match="too large for half precision"):
        keep_maps(dataset)
    assert kept_maps(dataset) is None


def test_unpacked_numbers_that_half_precision_does_not_know_are_named(
    small: Callable[[str], Path], cache: Path
) -> None:
    root = small("tfrecord")
    repacked(root, lambda of: of.update(feature=np.full(100_352, 1e6, np.float32).tobytes()))
    with pytest.raises(ZerotagError, match="record 1: a feature is too large for half precision"):
        load_dataset(str(root))
    assert not list(cache.rglob("*partial*"))


def test_pictures_are_not_kept_so(squares: Path) -> None:
    with pytest.raises(ZerotagError, match="made by a backbone"):
        keep_maps(load_dataset(str(squares)))


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


def test_a_record_that_promises_more_than_any_picture_has(tmp_path: Path) -> None:
    check, value = tfrecord._masked, tfrecord._crc32c(tmp_path)
    length = tfrecord.LENGTH.pack(2**40)
    file = tmp_path / "long.tfrecords"
    file.write_bytes(zlib.compress(length + check(value(length)) + bytes(1000)))
    with pytest.raises(ZerotagError, match="record 1 would be 1,099,511,627,776 bytes long"):
        next(tfrecord.records(file))


def test_a_link_that_leads_nowhere_is_named(small: Callable[[str], Path]) -> None:
    root = small("hdf5")
    file = next((root / "features").glob("*train*"), None) or next(root.rglob("*train*.h5"))
    with h5py.File(file, "r+") as opened:
        name = next(iter(opened))
        opened["000-features"] = h5py.ExternalLink("elsewhere.h5", f"/{name}")
    with pytest.raises(ZerotagError, match="is a link, which may lead to another file"):
        load_dataset(str(root))
