from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from zerotag.errors import UnwritableError, ZerotagError
from zerotag.storage import cache_folder, full_disk_explained, laid_out, mapped, reserve, write_atomically

LARGE = (3, 500_000)


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


def refuse_to_reserve(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def fail(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "posix_fallocate", fail)


def is_reserved(file: Path) -> bool:
    return 512 * file.stat().st_blocks >= file.stat().st_size


def sparse(file: Path) -> None:
    """An array with a hole in its file, as a version before laid it out."""
    array = np.lib.format.open_memmap(file, "w+", np.uint8, LARGE)
    array[1] = 7
    array.flush()


def test_an_array_is_laid_out_with_its_disk_space(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    laid_out(file, np.uint8, LARGE)[2] = 5
    assert is_reserved(file)
    assert mapped(file).shape == LARGE and mapped(file).sum() == 2_500_000


@pytest.mark.parametrize("number", [errno.EOPNOTSUPP, errno.EINVAL, None])
def test_where_space_cannot_be_reserved_it_is_written(
    number: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if number is None:
        monkeypatch.delattr(os, "posix_fallocate")
    else:
        refuse_to_reserve(monkeypatch, number)
    laid_out(tmp_path / "a.npy", np.uint8, LARGE)
    sparse(tmp_path / "b.npy")
    assert not is_reserved(tmp_path / "b.npy")
    reserve(tmp_path / "b.npy")
    assert is_reserved(tmp_path / "a.npy") and is_reserved(tmp_path / "b.npy")
    assert mapped(tmp_path / "b.npy").sum() == 7 * LARGE[1], "what was there stays"


@pytest.mark.parametrize(
    ("number", "message"), [(errno.ENOSPC, "the disk is full"), (errno.EDQUOT, "full"), (errno.EFBIG, r"ulimit -f")]
)
def test_what_finds_no_space_is_not_left_there(
    number: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_to_reserve(monkeypatch, number)
    with pytest.raises(ZerotagError, match=message):
        laid_out(tmp_path / "a.npy", np.uint8, LARGE)
    assert list(tmp_path.iterdir()) == []


def test_an_array_with_a_hole_is_reserved_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.npy"
    sparse(file)
    mapped(file)
    assert not is_reserved(file)
    with monkeypatch.context() as patch:
        refuse_to_reserve(patch, errno.ENOSPC)
        with pytest.raises(ZerotagError, match="the disk is full"):
            mapped(file, "r+")
    mapped(file, "r+")
    assert is_reserved(file) and mapped(file).sum() == 7 * LARGE[1]


def test_an_array_laid_out_anew_leaves_the_maps_of_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    laid_out(file, np.uint8, LARGE)[:] = 1
    old = mapped(file)
    laid_out(file, np.uint8, (1, 1))
    assert old.sum() == LARGE[0] * LARGE[1]


@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_of_another_length_than_its_array_is_refused(change: int, tmp_path: Path) -> None:
    file = tmp_path / "a.npy"
    laid_out(file, np.uint8, LARGE)
    os.truncate(file, file.stat().st_size + change)
    with pytest.raises(ZerotagError, match=r"a\.npy is damaged .*; delete the folder"):
        mapped(file)


def test_a_file_that_may_only_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    laid_out(tmp_path / "a.npy", np.uint8, LARGE)

    def deny(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("zerotag.storage.reserve", deny)
    with pytest.raises(UnwritableError, match="Read-only file system"):
        mapped(tmp_path / "a.npy", "r+")
