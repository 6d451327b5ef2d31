"""The catalogue's file: read where it cannot be written, and written by several at once."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from zerotag.errors import ZerotagError
from zerotag.tagging.catalogue import Catalogue, Content, File, Sidecar
from zerotag.tagging.database import is_blank
from zerotag.tagging.from_catalogue import write_dataset

# the superuser may write everywhere, unless without this right
AS_A_USER = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
READ = """
import sys
from pathlib import Path
from zerotag.errors import ZerotagError
from zerotag.tagging.catalogue import Catalogue
with Catalogue(Path(sys.argv[1])) as catalogue:
    model = catalogue.model("model", (2, 4))
    print(len(catalogue.files()), sum(len(names) for names, _ in catalogue.pictures(model)), catalogue.folder)
    try:
        catalogue.judge(b"0" * 16, "sea", True)
    except ZerotagError as error:
        print(error)
"""


def filled(place: Path, folder: Path, number: int = 600) -> Catalogue:
    folder.mkdir(exist_ok=True)
    catalogue = Catalogue(place, folder)
    digests = [f"{index:016}".encode() for index in range(number)]
    contents = [Content(digest, 8, 8, np.zeros((2, 4), np.float16)) for digest in digests]
    files = [File(f"{index:04}.jpg", 1, 1, digest) for index, digest in enumerate(digests)]
    catalogue.save(files, contents, catalogue.model("model", (2, 4)))
    return catalogue


@pytest.fixture
def medium(tmp_path: Path) -> Iterator[Path]:
    """A folder that is to become read-only."""
    folder = tmp_path / "medium"
    folder.mkdir()
    yield folder
    folder.chmod(0o755)


def read(place: Path) -> list[str]:
    for one in (*place.parent.iterdir(), place.parent):
        one.chmod(0o555 if one.is_dir() else 0o444)
    command = [*AS_A_USER, sys.executable, "-c", READ, str(place)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_catalogue_on_a_read_only_medium_is_read(medium: Path) -> None:
    with filled(medium / "holiday.zerotag", medium / "holiday"):
        pass
    figures, refusal = read(medium / "holiday.zerotag")
    assert figures == f"600 600 {medium / 'holiday'}"
    assert "cannot be used" in refusal and "--catalogue" in refusal
    assert sorted(path.name for path in medium.iterdir()) == ["holiday", "holiday.zerotag"]


def test_what_a_killed_process_left_in_the_log_is_read_too(medium: Path, tmp_path: Path) -> None:
    with filled(tmp_path / "holiday.zerotag", tmp_path / "holiday"):
        for suffix in ("", "-wal"):
            shutil.copy(tmp_path / f"holiday.zerotag{suffix}", medium)
    assert (medium / "holiday.zerotag-wal").stat().st_size
    assert read(medium / "holiday.zerotag")[0] == f"600 600 {tmp_path / 'holiday'}"


def test_a_medium_that_is_mounted_elsewhere_has_its_folder_beside_the_catalogue(medium: Path, tmp_path: Path) -> None:
    with filled(tmp_path / "holiday.zerotag", tmp_path / "holiday"):
        pass
    shutil.move(tmp_path / "holiday.zerotag", medium)
    shutil.move(tmp_path / "holiday", medium)
    assert read(medium / "holiday.zerotag")[0] == f"600 600 {medium / 'holiday'}"


def test_a_folder_that_was_copied_with_its_catalogue_is_its_own(tmp_path: Path) -> None:
    with filled(tmp_path / "p.zerotag", tmp_path / "p"):
        pass
    shutil.copytree(tmp_path / "p", tmp_path / "q")
    shutil.copy(tmp_path / "p.zerotag", tmp_path / "q.zerotag")
    for folder in (None, tmp_path / "q"):
        with Catalogue(tmp_path / "q.zerotag", folder) as catalogue:
            assert catalogue.folder == tmp_path / "q"
    with Catalogue(tmp_path / "p.zerotag") as catalogue:
        assert catalogue.folder == tmp_path / "p"


def test_a_database_of_another_program_is_left_alone(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "digikam4.db") as database:
        database.execute("CREATE TABLE Tags (name TEXT)")
    before = (tmp_path / "digikam4.db").read_bytes()
    for folder in (None, tmp_path):
        with pytest.raises(ZerotagError, match="it is of another program"):
            Catalogue(tmp_path / "digikam4.db", folder)
    assert (tmp_path / "digikam4.db").read_bytes() == before


def test_a_catalogue_that_was_never_filled_is_filled(tmp_path: Path) -> None:
    (tmp_path / "empty.zerotag").touch()
    with sqlite3.connect(tmp_path / "begun.zerotag") as database:
        database.execute("PRAGMA journal_mode = WAL")
    for name in ("empty", "begun"):
        assert is_blank(tmp_path / f"{name}.zerotag")
        with Catalogue(tmp_path / f"{name}.zerotag", tmp_path) as catalogue:
            assert catalogue.files() == {}
        assert not is_blank(tmp_path / f"{name}.zerotag")


def test_reading_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZerotagError, match="there is no catalogue"):
        Catalogue(tmp_path / "none.zerotag", tmp_path, reading=True)
    assert list(tmp_path.iterdir()) == []


def test_a_catalogue_is_written_while_it_is_read(tmp_path: Path) -> None:
    with filled(tmp_path / "c.zerotag", tmp_path) as reader, Catalogue(tmp_path / "c.zerotag") as other:
        seen: list[str] = []
        for names, _ in reader.pictures(1):
            seen += names
            other.judge(b"0" * 16, "sea", True)
            reader.note_sidecar(Sidecar(f"{names[0]}.xmp", None, b"", []))
        assert len(seen) == 600 and seen == sorted(seen)
        chosen = seen[::7]
        assert [name for names, _ in reader.pictures(1, chosen[::-1]) for name in names] == chosen


def test_processes_that_begin_a_catalogue_at_once_share_it(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        done = list(pool.map(begin, [tmp_path / "c.zerotag"] * 8, range(8)))
    assert done == [None] * 8
    with Catalogue(tmp_path / "c.zerotag") as catalogue:
        assert len(catalogue.files()) == 8


def begin(place: Path, number: int) -> None:
    with Catalogue(place, place.parent) as catalogue:
        catalogue.save([File(f"{number}.jpg", 1, 1, None, "no picture")], (), catalogue.model("model", (2, 4)))


def test_verdicts_of_contents_that_are_gone_are_counted(tmp_path: Path) -> None:
    with filled(tmp_path / "c.zerotag", tmp_path / "pictures", 2) as catalogue:
        for digest in (b"0" * 16, b"0" * 15 + b"1"):
            catalogue.judge(digest, "sea", True)
        catalogue.forget(["0001.jpg"])
        assert write_dataset(catalogue, tmp_path / "mine") == (1, 1)
