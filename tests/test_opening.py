"""What is no regular file is refused before it is opened: opening a pipe would wait for ever."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from zerotag.datasets.ml2p import _parsed
from zerotag.datasets.ml_decoder import _benchmark
from zerotag.datasets.tfrecord import records
from zerotag.errors import ZerotagError
from zerotag.labels import read_text
from zerotag.opening import named, regular
from zerotag.tagging.catalogue import Catalogue
from zerotag.tagging.database import is_blank


def place(tmp_path: Path, kind: str) -> Path:
    path = tmp_path / "a.json"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        with socket.socket(socket.AF_UNIX) as bound:
            os.chdir(tmp_path)
            bound.bind(path.name)
    return path


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "socket"])
def test_only_regular_files_are_opened(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = place(tmp_path, kind)
    with pytest.raises(ZerotagError, match="folder" if kind == "folder" else "no regular file, but a pipe"):
        regular(path)
    if kind != "pipe":
        with pytest.raises(ZerotagError):
            named(path)
    assert regular(tmp_path / "not there") == tmp_path / "not there"


@pytest.mark.parametrize(
    "read",
    [_parsed, lambda file: _benchmark(file.parent), lambda file: list(records(file)), is_blank, Catalogue],
    ids=["ml2p", "ml-decoder", "tfrecord", "blank", "catalogue"],
)
def test_pipes_in_folders_are_told_of(read: Callable[[Path], object], tmp_path: Path) -> None:
    with pytest.raises(ZerotagError, match=r"a\.json is no regular file"):
        read(place(tmp_path, "pipe"))


def test_labels_may_come_through_a_pipe() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"dog\n")
    os.close(writing)
    assert read_text(Path(f"/dev/fd/{reading}")) == "dog\n"
    os.close(reading)
    with pytest.raises(ZerotagError, match="/dev/zero"):
        read_text(Path("/dev/zero"))
