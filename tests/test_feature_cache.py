"""The cache of feature maps under attack: two processes, a kill, a full disk, flipped bits, damage, somebody else's."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from zerotag import maps_on_disk
from zerotag.backbones import Backbone, Preprocessing
from zerotag.datasets import PictureDataset
from zerotag.datasets.folder import read_folder
from zerotag.errors import UnwritableError, ZerotagError
from zerotag.features import CachedMaps, cached_features, extract_features
from zerotag.storage import cache_folder

NUMBER, SIDE = 40, 8

pytestmark = pytest.mark.usefixtures("cache")


class StubMaps(nn.Module):
    """Pixels as maps; counts the pictures, and makes of some what half precision cannot hold."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures, self.factor = 0, 1.0

    def forward(self, pixels: Tensor) -> list[Tensor]:
        self.pictures += len(pixels)
        return [self.factor * pixels, self.factor * pixels[:, :, :2, :2]]


@pytest.fixture
def stub() -> StubMaps:
    return StubMaps()


@pytest.fixture
def backbone(stub: StubMaps) -> Backbone:
    preprocessing = Preprocessing(SIDE, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), "bicubic")
    return Backbone("stub", stub, "random:0", preprocessing, {8: 3, 16: 3}).eval()


@pytest.fixture
def dataset(tmp_path: Path) -> PictureDataset:
    root = tmp_path / "pictures"
    root.mkdir()
    for number in range(NUMBER):
        Image.new("RGB", (SIDE, SIDE), (6 * number, 90, 200)).save(root / f"{number}.png")
    lines = [json.dumps({"path": f"{i}.png", "labels": ["dog"]}) for i in range(NUMBER)]
    (root / "labels.jsonl").write_text("\n".join(lines))
    return read_folder(root)


def flip(file: Path, row: int) -> None:
    """Change a bit of a row."""
    array = np.load(file, mmap_mode="r+")
    array[row : row + 1].reshape(-1).view(np.uint8)[1] ^= 64
    array.flush()


def forget_sums(folder: Path) -> None:
    """Leave a folder as an earlier version of zerotag left it."""
    for file in folder.glob("*.crc32.npy"):
        file.unlink()


@pytest.fixture
def somebody_elses(dataset: PictureDataset, backbone: Backbone) -> Callable[[], None]:
    """Makes it impossible to lock the cache, also for the superuser."""

    def lock_out() -> None:
        (lock,) = (cache_folder() / "features").glob(".*.lock")
        lock.unlink()
        lock.mkdir()

    return lock_out


@pytest.mark.parametrize("ask", [extract_features, cached_features])
def test_two_at_once_make_each_picture_once(
    dataset: PictureDataset, backbone: Backbone, stub: StubMaps, ask: Callable[..., CachedMaps]
) -> None:
    together = Barrier(2)

    def work(_: int) -> np.ndarray:
        together.wait()
        return ask(dataset, backbone).batch(np.arange(NUMBER))[8].numpy()

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(work, range(2))
    np.testing.assert_array_equal(one, other)
    assert stub.pictures == NUMBER + 1, "one to learn the shapes"


def test_what_a_killed_process_left_is_completed(dataset: PictureDataset, backbone: Backbone, stub: StubMaps) -> None:
    def die(what: str, done: int, total: int) -> None:
        if what == "Extracting feature maps":
            os.kill(os.getpid(), signal.SIGKILL)

    if (child := os.fork()) == 0:
        extract_features(dataset, backbone, progress=die)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    cached = cached_features(dataset, backbone)
    assert cached.done.all() and 0 < stub.pictures < NUMBER


def test_a_reader_beside_one_who_begins_again_sees_all_or_nothing(dataset: PictureDataset, backbone: Backbone) -> None:
    cached = extract_features(dataset, backbone)
    before = cached.batch(np.arange(NUMBER))
    for left in (["index.json"], []):

        def opening(left: list[str] = left) -> CachedMaps:
            maps_on_disk.begin(cached.folder)
            for name in left:
                (cached.folder / name).write_text("{}")
            return CachedMaps(cached.folder, "again")

        assert maps_on_disk.unless_made_anew(cached.folder, opening) is None
        after = cached.batch(np.arange(NUMBER))
        assert all(torch.equal(before[stride], after[stride]) for stride in before), "open maps stay what they were"
        extract_features(dataset, backbone)


def test_maps_made_anew_while_they_are_opened_are_not_used(dataset: PictureDataset, backbone: Backbone) -> None:
    folder = extract_features(dataset, backbone).folder

    def opening() -> CachedMaps:
        opened = CachedMaps(folder, "again")
        maps_on_disk.begin(folder)
        extract_features(dataset, backbone)
        return opened

    assert maps_on_disk.unless_made_anew(folder, opening) is None


@pytest.mark.parametrize("name", ["stride8.npy", "stride16.npy", "stride8.crc32.npy"])
def test_a_flipped_bit_is_told_with_the_picture_and_mended(
    dataset: PictureDataset, backbone: Backbone, stub: StubMaps, name: str
) -> None:
    folder = extract_features(dataset, backbone).folder
    right = np.load(folder / "stride8.npy")
    flip(folder / name, 7)
    cached = cached_features(dataset, backbone)
    assert len(cached.batch(np.array([6, 8]))[8]) == 2
    with pytest.raises(ZerotagError, match=r"maps of '7\.png' in .* not have the content .*; run: zerotag features .*"):
        cached.batch(np.array([6, 7]))
    stub.pictures = 0
    mended = extract_features(dataset, backbone)
    assert stub.pictures == 1
    np.testing.assert_array_equal(mended.batch(np.arange(NUMBER))[8], right)


@pytest.mark.parametrize("is_locked", [False, True])
def test_maps_of_an_earlier_version_are_used_and_get_checksums_where_they_can(
    dataset: PictureDataset,
    backbone: Backbone,
    stub: StubMaps,
    somebody_elses: Callable[[], None],
    is_locked: bool,
) -> None:
    forget_sums(extract_features(dataset, backbone).folder)
    if is_locked:
        somebody_elses()
    stub.pictures = 0
    cached = cached_features(dataset, backbone)
    assert cached.is_checked is not is_locked
    assert len(cached.batch(np.arange(NUMBER))[8]) == NUMBER and stub.pictures == 0


def test_somebody_elses_cache_is_read_where_all_is_there(
    dataset: PictureDataset, backbone: Backbone, somebody_elses: Callable[[], None]
) -> None:
    extract_features(dataset, backbone)
    somebody_elses()
    for ask in (extract_features, cached_features):
        assert ask(dataset, backbone).done.all()
    Image.new("RGB", (SIDE, SIDE), (0, 255, 0)).save(dataset.picture(3))
    with pytest.raises(UnwritableError, match=r"cannot be written .* ZEROTAG_CACHE"):
        extract_features(dataset, backbone)


def test_a_file_cut_off_while_it_is_read_is_a_sentence(dataset: PictureDataset, backbone: Backbone) -> None:
    cached = extract_features(dataset, backbone)
    os.truncate(cached.folder / "stride8.npy", 100)
    with pytest.raises(ZerotagError, match=r"stride8\.npy was cut off while it was read"):
        cached.batch(np.array([NUMBER - 1]))


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", "{}", '{"paths": 3}', '{"paths": [], "strides": ["../x"]}', "\0", "[" * 100_000]
)
def test_a_damaged_index_is_made_again(
    dataset: PictureDataset, backbone: Backbone, stub: StubMaps, content: str
) -> None:
    folder = extract_features(dataset, backbone).folder
    (folder / "index.json").write_text(content)
    assert extract_features(dataset, backbone).done.all()
    assert stub.pictures == 2 * (NUMBER + 1)


@pytest.mark.parametrize("name", ["stride8.npy", "stride8.crc32.npy", "digests.npy", "stamps.npy"])
@pytest.mark.parametrize("content", [b"", b"PK\3\4", b"\x93NUMPY\1\0\x06\0{'de\n" + bytes(90)])
def test_a_damaged_file_is_named_and_made_again(
    dataset: PictureDataset, backbone: Backbone, name: str, content: bytes
) -> None:
    folder = extract_features(dataset, backbone).folder
    (folder / name).write_bytes(content)
    with pytest.raises(ZerotagError, match=rf"{name} is damaged .*; delete the folder"):
        cached_features(dataset, backbone)
    assert len(extract_features(dataset, backbone).batch(np.arange(NUMBER))[8]) == NUMBER


def test_a_folder_that_is_gone_is_made_again(dataset: PictureDataset, backbone: Backbone) -> None:
    shutil.rmtree(extract_features(dataset, backbone).folder)
    assert cached_features(dataset, backbone).done.all()


def test_numbers_that_half_precision_does_not_know_are_refused(
    dataset: PictureDataset, backbone: Backbone, stub: StubMaps
) -> None:
    stub.factor = 1e6
    with pytest.raises(ZerotagError, match=r"stub makes of '\d+\.png' feature maps that do not fit"):
        extract_features(dataset, backbone)


def test_a_full_disk_leaves_nothing_that_counts_as_done(
    dataset: PictureDataset, backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        with pytest.raises(ZerotagError, match=r"the disk is full, so .* was not written"):
            extract_features(dataset, backbone)
    assert [file for file in (cache_folder() / "features").rglob("*") if file.suffix != ".lock"] == []
    assert extract_features(dataset, backbone).done.all()


@pytest.fixture
def small_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache on a file system of 64 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.getuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only the superuser may mount a file system")
    monkeypatch.setenv("ZEROTAG_CACHE", str(disk))
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.parametrize("free_pages", [1, 3, 5])
def test_on_a_disk_that_fills_maps_are_not_begun(
    dataset: PictureDataset, backbone: Backbone, small_disk: Path, free_pages: int
) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(65_536 - 4_096 * free_pages))
    with pytest.raises(ZerotagError, match="the disk is full"):
        extract_features(dataset, backbone)
    ballast.unlink()
    assert extract_features(dataset, backbone).done.all()
