"""What is kept in the cache of feature files: flipped bits, damage, caches of before and of somebody else."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from zerotag.datasets import load_dataset
from zerotag.errors import ZerotagError
from zerotag.kept_maps import keep_maps, kept_maps


def flip(file: Path, at: int) -> None:
    """Change a bit of a file."""
    content = bytearray(file.read_bytes())
    content[at] ^= 64
    file.write_bytes(content)


def forget_sums(cache: Path) -> None:
    """Leave a cache as an earlier version of zerotag left it."""
    for file in cache.rglob("*.crc32.npy"):
        file.unlink()
    for file in cache.rglob("names.json"):
        file.write_text(json.dumps(json.loads(file.read_text())["names"]))


def lock_out(cache: Path) -> None:
    """Make it impossible to lock what is in a cache, also for the superuser."""
    for lock in cache.rglob(".*.lock"):
        lock.unlink()
        lock.mkdir()


def test_a_flipped_bit_of_kept_maps_is_told_and_mended(small: Callable[[str], Path]) -> None:
    dataset = load_dataset(str(small("hdf5")))
    kept = keep_maps(dataset)
    right = kept.batch(np.arange(12))
    flip(kept.folder / "stride16.npy", -1)
    damaged = kept_maps(dataset)
    assert damaged is not None and torch.equal(damaged.batch(np.arange(11))[16], right[16][:11])
    with pytest.raises(
        ZerotagError, match=rf"maps of '{dataset.paths[11]}' in .* delete the folder .* zerotag features"
    ):
        damaged.batch(np.array([0, 11]))
    assert torch.equal(keep_maps(dataset).batch(np.arange(12))[16], right[16])


@pytest.mark.parametrize(("name", "message"), [("maps.npy", r"row \d+ of"), ("names.json", "damaged")])
def test_a_flipped_bit_of_what_was_unpacked_is_told(
    small: Callable[[str], Path], cache: Path, name: str, message: str
) -> None:
    root = small("tfrecord")
    load_dataset(str(root))
    for file in (cache / "unpacked").rglob(name):
        flip(file, -1 if name == "maps.npy" else 14)
    with pytest.raises(ZerotagError, match=rf"{message}.* delete"):
        dataset = load_dataset(str(root))
        assert dataset.maps is not None
        dataset.maps.batch(np.arange(len(dataset.paths)))


def test_a_flipped_bit_of_annotations_is_told(small: Callable[[str], Path], cache: Path) -> None:
    root = small("hdf5")
    load_dataset(str(root))
    for file in (cache / "annotations").glob("*train*[0-9a-f].npy"):
        flip(file, -1)
    with pytest.raises(ZerotagError, match=r"does not have the content that was written; delete"):
        load_dataset(str(root))


@pytest.mark.parametrize("layout", ["hdf5", "tfrecord"])
@pytest.mark.parametrize("of_before", [False, True])
def test_a_cache_that_is_complete_is_read_without_a_lock(
    small: Callable[[str], Path], cache: Path, layout: str, of_before: bool
) -> None:
    root = str(small(layout))
    right = keep_maps(load_dataset(root)).batch(np.arange(12))
    if of_before:
        forget_sums(cache)
    lock_out(cache)
    dataset = load_dataset(root)
    assert torch.equal(keep_maps(dataset).batch(np.arange(12))[16], right[16])


def test_kept_maps_of_before_get_checksums(small: Callable[[str], Path], cache: Path) -> None:
    dataset = load_dataset(str(small("hdf5")))
    keep_maps(dataset)
    forget_sums(cache)
    assert not (kept_maps(dataset) or pytest.fail("lost")).is_checked
    assert keep_maps(dataset).is_checked


@pytest.mark.parametrize("content", ["", "[", "3"])
def test_a_damaged_index_of_kept_maps_is_made_again(small: Callable[[str], Path], content: str) -> None:
    dataset = load_dataset(str(small("hdf5")))
    (keep_maps(dataset).folder / "index.json").write_text(content)
    assert kept_maps(dataset) is None
    assert len(keep_maps(dataset)) == 12


@pytest.mark.parametrize("name", ["maps.npy", "labels.npz", "names.json"])
def test_damage_to_what_was_unpacked_is_named(small: Callable[[str], Path], cache: Path, name: str) -> None:
    root = small("tfrecord")
    load_dataset(str(root))
    for file in (cache / "unpacked").rglob(name):
        file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ZerotagError, match=r"damaged .*delete"):
        load_dataset(str(root))


def test_damage_to_kept_maps_is_named(small: Callable[[str], Path]) -> None:
    dataset = load_dataset(str(small("hdf5")))
    file = keep_maps(dataset).folder / "stride16.npy"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ZerotagError, match=r"stride16.npy is damaged .*delete the folder"):
        kept_maps(dataset)


def test_a_disk_that_is_full_keeps_no_half_of_them(
    small: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    dataset = load_dataset(str(small("hdf5")))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ZerotagError, match="the disk is full"):
        keep_maps(dataset)
    assert kept_maps(dataset) is None
