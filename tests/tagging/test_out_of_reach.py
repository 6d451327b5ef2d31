"""What cannot be reached is not lost: it stays in the catalogue, is named, and the next run tries it again."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from colours import COLOURS
from zerotag.errors import ZerotagError
from zerotag.tagging.catalogue import Catalogue, catalogue_of
from zerotag.tagging.library import SAVED_AT_ONCE, Summary, update
from zerotag.tagging.plan import CHANGED, plan
from zerotag.tagging.tagger import Tagger

UPDATE = """
import json, sys
from pathlib import Path
from zerotag.tagging.catalogue import Catalogue, catalogue_of
from zerotag.tagging.library import update
from zerotag.tagging.plan import plan
from zerotag.tagging.tagger import Tagger
if __name__ == "__main__":
    run, folder = map(Path, sys.argv[1:])
    tagger = Tagger.load(run)
    with Catalogue(catalogue_of(folder), folder) as catalogue:
        print(json.dumps(update(catalogue, tagger, plan(folder, catalogue_of(folder), tagger)).to_dict()))
"""


@pytest.fixture(scope="module")
def tagger(toy_run: Path) -> Tagger:
    return Tagger.load(toy_run)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    for name, colour in zip(("a", "b", "trip/c", "trip/d", "drive/2019/e", "drive/2019/f"), COLOURS, strict=False):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 20), COLOURS[colour]).save(folder / f"{name}.png")
    return folder


def brought_up_to_date(tagger: Tagger, folder: Path, **options: Any) -> Summary:
    planned = plan(folder, catalogue_of(folder), tagger, **options)
    with Catalogue(catalogue_of(folder), folder) as catalogue:
        return update(catalogue, tagger, planned)


def kept(folder: Path) -> dict[str, bool]:
    """Paths in the catalogue, and whether they have vectors, which is what search and export see."""
    with sqlite3.connect(catalogue_of(folder)) as database:
        return dict(database.execute("SELECT path, reason IS NULL AND digest IS NOT NULL FROM file"))


def test_locked_folders_and_pictures_stay_and_are_tried_again_by_themselves(
    tagger: Tagger, album: Path, toy_run: Path
) -> None:
    brought_up_to_date(tagger, album)
    before = kept(album)
    new, known = album / "new.png", album / "a.png"
    shutil.copy(album / "b.png", new)
    Image.new("RGB", (30, 30), COLOURS["red"]).save(known)
    for path in (new, known, album / "trip"):
        path.chmod(0)
    # who is root passes over modes; a process without these rights does not
    rights = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*rights, sys.executable, "-c", UPDATE, str(toy_run), str(album)], capture_output=True, text=True, check=True
    )
    summary = json.loads(done.stdout)
    assert summary["failures"] == {"a.png": "Permission denied", "new.png": "Permission denied"}
    assert summary["unlisted"] == {"trip": "Permission denied; its 2 pictures stay in the catalogue"}
    assert summary["num_gone"] == 0 and kept(album) == before
    for path in (new, known, album / "trip"):
        path.chmod(0o755)
    again = brought_up_to_date(tagger, album)
    assert (again.num_new, again.failures, again.unlisted) == (2, {}, {})
    assert kept(album) == before | {"new.png": True}


def test_a_drive_that_is_not_connected_takes_nothing_out_of_the_catalogue(tagger: Tagger, album: Path) -> None:
    brought_up_to_date(tagger, album)
    before = kept(album)
    shutil.move(album / "drive", album.parent / "away")
    (album / "drive").mkdir()
    done = brought_up_to_date(tagger, album)
    assert done.num_gone == 0 and kept(album) == before
    assert "its 2 pictures stay in the catalogue until the empty folder is deleted" in done.unlisted["drive"]
    (album / "drive").rmdir()
    assert brought_up_to_date(tagger, album).num_gone == 2
    assert kept(album).keys() == before.keys() - {"drive/2019/e.png", "drive/2019/f.png"}


def test_a_whole_folder_that_is_empty_changes_nothing(tagger: Tagger, album: Path) -> None:
    brought_up_to_date(tagger, album)
    before = kept(album)
    album.rename(album.parent / "away")
    album.mkdir()
    with pytest.raises(ZerotagError, match="holds no pictures"):
        brought_up_to_date(tagger, album)
    assert kept(album) == before


def test_pictures_that_were_moved_out_of_a_folder_are_not_taken_for_a_drive(tagger: Tagger, album: Path) -> None:
    brought_up_to_date(tagger, album)
    for path in (album / "trip").iterdir():
        path.rename(album / path.name)
    done = brought_up_to_date(tagger, album)
    assert (done.num_gone, done.num_computed, done.unlisted) == (2, 0, {})
    assert "c.png" in kept(album) and "trip/c.png" not in kept(album)


def test_a_drive_that_drops_out_in_a_run_stops_it(tagger: Tagger, album: Path) -> None:
    planned = plan(album, catalogue_of(album), tagger)
    with Catalogue(catalogue_of(album), album) as catalogue:
        album.rename(album.parent / "away")
        with pytest.raises(ZerotagError, match="went away while it was read; connect its drive and run the command"):
            update(catalogue, tagger, planned)
    (album.parent / "away").rename(album)
    done = brought_up_to_date(tagger, album)
    assert (done.num_new, done.num_computed, done.failures) == (6, 6, {})


def test_a_picture_that_is_gone_before_it_is_read_is_no_lasting_failure(tagger: Tagger, album: Path) -> None:
    planned = plan(album, catalogue_of(album), tagger)
    content = (album / "a.png").read_bytes()
    (album / "a.png").unlink()
    with Catalogue(catalogue_of(album), album) as catalogue:
        assert update(catalogue, tagger, planned).failures == {"a.png": "No such file or directory"}
    (album / "a.png").write_bytes(content)
    done = brought_up_to_date(tagger, album)
    assert (done.num_new, done.failures) == (1, {})


def test_what_earlier_versions_kept_as_failed_is_tried_again(tagger: Tagger, album: Path) -> None:
    brought_up_to_date(tagger, album)
    with sqlite3.connect(catalogue_of(album)) as database:
        database.execute("UPDATE file SET digest = NULL, reason = 'Permission denied' WHERE path = 'a.png'")
        database.execute("UPDATE file SET reason = ? WHERE path = 'b.png'", (CHANGED,))
    done = brought_up_to_date(tagger, album)
    assert (done.num_new, done.failures) == (2, {}) and all(kept(album).values())


def test_a_link_that_leads_nowhere_is_named_on_each_run(tagger: Tagger, album: Path) -> None:
    (album / "link.png").symlink_to(album / "none.png")
    for _ in range(2):
        assert brought_up_to_date(tagger, album).failures == {"link.png": "No such file or directory"}
    assert "link.png" not in kept(album)


def test_reread_finds_content_that_changed_under_the_same_size_and_time(tagger: Tagger, album: Path) -> None:
    file = album / "a.bmp"
    Image.new("RGB", (20, 20), COLOURS["red"]).save(file)
    brought_up_to_date(tagger, album)
    state = file.stat()
    Image.new("RGB", (20, 20), COLOURS["blue"]).save(file)
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert brought_up_to_date(tagger, album).num_new == 0
    done = brought_up_to_date(tagger, album, reread=True)
    assert (done.num_new, done.num_computed) == (7, 1)


def test_reread_computes_nothing_where_nothing_changed(
    tagger: Tagger, album: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    brought_up_to_date(tagger, album)
    before = kept(album)
    monkeypatch.setattr(tagger, "embed_pixels", None)
    done = brought_up_to_date(tagger, album, reread=True)
    assert (done.num_new, done.num_computed) == (6, 0) and kept(album) == before


def test_a_time_after_2262_is_kept_and_compared(tagger: Tagger, album: Path) -> None:
    os.utime(album / "a.png", ns=(9_300_000_000 * 10**9,) * 2)
    assert brought_up_to_date(tagger, album).failures == {}
    assert brought_up_to_date(tagger, album).num_new == 0


def test_thumbnails_of_systems_leave_an_earlier_catalogue(tagger: Tagger, album: Path) -> None:
    brought_up_to_date(tagger, album)
    with sqlite3.connect(catalogue_of(album)) as database:
        database.execute("UPDATE file SET path = 'trip/@eaDir/c.png/XL.png' WHERE path = 'trip/c.png'")
    (album / "trip" / "@eaDir" / "c.png").mkdir(parents=True)
    shutil.copy(album / "trip" / "c.png", album / "trip" / "@eaDir" / "c.png" / "XL.png")
    done = brought_up_to_date(tagger, album)
    assert (done.num_files, done.num_gone) == (6, 1) and "trip/@eaDir/c.png/XL.png" not in kept(album)


def test_copies_are_saved_as_they_are_read(tagger: Tagger, album: Path) -> None:
    (album / "copies").mkdir()
    for index in range(3 * SAVED_AT_ONCE):
        os.link(album / "a.png", album / "copies" / f"{index:04}.png")
    told: list[tuple[int, int]] = []

    def progress(what: str, done: int, total: int) -> None:
        told.append((done, len(kept(album))))

    planned = plan(album, catalogue_of(album), tagger)
    with Catalogue(catalogue_of(album), album) as catalogue:
        update(catalogue, tagger, planned, progress=progress)
    assert told[-1] == (3 * SAVED_AT_ONCE + 6,) * 2 and len(told) >= 4
    assert all(done - in_catalogue <= SAVED_AT_ONCE for done, in_catalogue in told)
