from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from zerotag.errors import ZerotagError
from zerotag.storage import cache_folder, full_disk_explained, write_atomically


def fail_with(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b.txt", "é")
    write_atomically(tmp_path / "a" / "b.bin", b"\0")
    assert (tmp_path / "a" / "b.txt").read_text(encoding="utf-8") == "é"
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["b.bin", "b.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_on_a_full_disk_the_old_content_stays(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    fail_with(monkeypatch, number)
    with pytest.raises(ZerotagError, match=r"the disk is full, so .*a\.txt was not written"):
        write_atomically(file, "new")
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]


def test_other_errors_pass_and_leave_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        write_atomically(tmp_path / "a.txt", "new")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyError), full_disk_explained(tmp_path):
        raise KeyError


def test_the_cache_can_be_put_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROTAG_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here" and cache_folder().is_dir()
    monkeypatch.delenv("ZEROTAG_CACHE")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    assert cache_folder() == tmp_path / ".cache" / "zerotag"
