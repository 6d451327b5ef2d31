"""Data sets of strangers: what lies elsewhere is not read, what is no file is not opened, what is large is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from zerotag.datasets import load_dataset
from zerotag.datasets.hdf5_contents import damage_explained, open_file, stored
from zerotag.errors import ZerotagError

SECRET = np.arange(6, dtype=np.float32)


def _external_link(file: h5py.File, secret: Path) -> None:
    file["x"] = h5py.ExternalLink(str(secret), "x")


def _soft_link(file: h5py.File, secret: Path) -> None:
    file["way"] = h5py.ExternalLink(str(secret), "/")
    file["x"] = h5py.SoftLink("/way/x")


def _raw(file: h5py.File, secret: Path) -> None:
    file.create_dataset("x", (6,), np.float32, external=[(str(secret), 0, 24)])


def _virtual(file: h5py.File, secret: Path) -> None:
    layout = h5py.VirtualLayout((6,), np.float32)
    layout[:] = h5py.VirtualSource(str(secret), "x", (6,))
    file.create_virtual_dataset("x", layout)


def _bomb(file: h5py.File, secret: Path) -> None:
    file.create_dataset("x", (10**12,), np.float32, chunks=(1024,), compression="gzip")


def _circle(file: h5py.File, secret: Path) -> None:
    file["x"] = file["/"]


def _empty(file: h5py.File, secret: Path) -> None:
    file["x"] = h5py.Empty(np.float32)


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (_external_link, "is a link, which may lead to another file"),
        (_soft_link, "is a link"),
        (_raw, "lies in another file"),
        (_virtual, "lies in another file"),
        (_bomb, "too large"),
        (_circle, "holds no numbers"),
        (_empty, "holds no numbers"),
    ],
)
def test_of_hdf5_only_its_own_numbers_are_read(
    tmp_path: Path, harm: Callable[[h5py.File, Path], None], message: str
) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["x"] = SECRET
    file = tmp_path / "train.h5"
    with h5py.File(file, "w") as opened:
        harm(opened, tmp_path / "secret.h5")
    with pytest.raises(ZerotagError, match=message), damage_explained(file):
        stored(file, open_file(file), "x")


@pytest.mark.parametrize(
    "name", ["labels.jsonl", "a.json", "annotations/instances_train.json", "data.csv", "train.h5", "train.tfrecord"]
)
def test_a_pipe_in_a_folder_is_not_waited_for(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(ZerotagError, match=r"neither labels\.jsonl nor labels\.csv"):
        load_dataset(str(tmp_path))


@pytest.mark.parametrize("label", ["a" * 1001, "a " * 10**6])
def test_a_label_of_a_table_has_an_end(tmp_path: Path, label: str) -> None:
    (tmp_path / "labels.jsonl").write_text(f'{{"path": "a.jpg", "labels": ["{label}"]}}')
    with pytest.raises(ZerotagError, match="characters; a label has at most 1,000"):
        load_dataset(str(tmp_path))


def test_a_key_that_comes_twice_among_many_is_found_at_once(tmp_path: Path) -> None:
    keys = ", ".join(f'"k{i}": 0' for i in range(100_000))
    (tmp_path / "labels.jsonl").write_text(f'{{{keys}, "k99999": 0}}')
    with pytest.raises(ZerotagError, match="the key 'k99999' comes twice"):
        load_dataset(str(tmp_path))
