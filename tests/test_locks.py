from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from zerotag import locks
from zerotag.errors import UnwritableError, ZerotagError
from zerotag.locks import alone, held

HOLD = """
import sys
from pathlib import Path
from zerotag import locks
arguments = ("wait",) if sys.argv[2] == "held" else ()
with getattr(locks, sys.argv[2])(Path(sys.argv[1]), *arguments):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path, lock: str = "held") -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_folder_is_held_by_one_process_until_it_dies(tmp_path: Path) -> None:
    with holder(tmp_path / "run") as other:
        refused = pytest.raises(
            ZerotagError, match=r"another process is writing to .*run at this moment; .* or leave it"
        )
        with refused, held(tmp_path / "run", "leave it"):
            pass
        other.kill()
        other.wait()
        with held(tmp_path / "run", "leave it"):
            pass


def test_a_folder_cannot_be_held_twice_in_one_process(tmp_path: Path) -> None:
    with held(tmp_path, "wait"), pytest.raises(ZerotagError, match="another process is writing"), held(tmp_path, "go"):
        pass


def test_a_folder_that_cannot_be_made_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = pytest.raises(ZerotagError, match=r"file.run cannot be written \(Not a directory\); go elsewhere")
    with refused, held(tmp_path / "file" / "run", "go elsewhere"):
        pass


def test_who_waits_says_so_and_goes_on_when_the_other_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locks, "SILENT_SECONDS", 0.1)
    with holder(tmp_path / "maps", "alone") as other:
        monkeypatch.setattr(locks.logging.Logger, "warning", lambda *said: (caplog.records.append(said), other.kill()))
        with alone(tmp_path / "maps"):
            assert other.wait() < 0
    ((_, text, place),) = caplog.records
    assert "another process; waiting" in text and place == str(tmp_path / "maps")


def test_what_cannot_be_locked_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UnwritableError, match=r"maps cannot be written \(.*\); make it writable"),
        alone(tmp_path / "file" / "maps"),
    ):
        pass
    (tmp_path / ".maps.lock").mkdir()
    with pytest.raises(UnwritableError, match="ZEROTAG_CACHE"), alone(tmp_path / "maps"):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_has_them_by_files(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", missing)
    for _ in range(2):
        with held(tmp_path, "wait"), pytest.raises(ZerotagError, match="another process"), held(tmp_path, "go"):
            pass
        with alone(tmp_path / "maps"):
            pass


@pytest.mark.parametrize("mode", [0o755, 0o775, 0o777])
def test_who_may_write_to_the_folder_may_hold_its_lock(mode: int, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(mode)
    with alone(folder / "maps"):
        pass
    assert (folder / ".maps.lock").stat().st_mode & 0o777 == mode & 0o666


def test_the_folder_one_is_in_can_be_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with alone(Path()):
        assert (tmp_path / ".here.lock").exists()
