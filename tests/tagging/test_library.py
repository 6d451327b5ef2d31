"""A folder and its catalogue: nothing is computed twice, nothing is lost, whatever happens in between."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest
import torch
from PIL import Image

from colours import COLOURS
from zerotag.errors import ZerotagError
from zerotag.tagging.catalogue import Catalogue, catalogue_of
from zerotag.tagging.folder import FolderTags, Rule
from zerotag.tagging.integrity import check_catalogue
from zerotag.tagging.library import Summary, update
from zerotag.tagging.plan import Plan, plan
from zerotag.tagging.tagger import Tagger

SEED = 0
UPDATE = """
import sys
from pathlib import Path
from zerotag.tagging.catalogue import Catalogue
from zerotag.tagging.library import update
from zerotag.tagging.plan import plan
from zerotag.tagging.tagger import Tagger
if __name__ == "__main__":
    run, folder, place = map(Path, sys.argv[1:])
    tagger = Tagger.load(run)
    planned = plan(folder, place, tagger)
    with Catalogue(place, folder) as catalogue:
        update(catalogue, tagger, planned)
"""


WARM = """
import json, os, signal, sys
from pathlib import Path
from zerotag.tagging.catalogue import Catalogue
from zerotag.tagging.library import update
from zerotag.tagging.plan import plan
from zerotag.tagging.tagger import Tagger
if __name__ == "__main__":
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    tagger = Tagger.load(sys.argv[1])
    for line in sys.stdin:
        if child := os.fork():
            print(child, flush=True)
            continue
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        folder, place = map(Path, json.loads(line))
        with Catalogue(place, folder) as catalogue:
            update(catalogue, tagger, plan(folder, place, tagger))
        os._exit(0)
"""


@pytest.fixture(scope="module")
def tagger(toy_run: Path) -> Tagger:
    return Tagger.load(toy_run)


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    paint(folder, 40)
    (folder / "bad.jpg").write_bytes(b"no picture")
    return folder


def paint(folder: Path, number: int, side_px: int = 48) -> None:
    random = np.random.default_rng(SEED)
    for index in range(number):
        place = folder / f"trip{index % 3}"
        place.mkdir(parents=True, exist_ok=True)
        ground = tuple(random.choice(list(COLOURS.values())))
        picture = Image.new("RGB", (side_px, side_px), tuple(map(int, ground)))
        picture.putpixel((int(index % side_px), 0), (index % 256, index // 256, 7))
        picture.save(place / f"{index:04}.png")


def brought_up_to_date(tagger: Tagger, folder: Path, **options: bool) -> Summary:
    place = catalogue_of(folder)
    planned = plan(folder, place, tagger, **options)
    with Catalogue(place, folder) as catalogue:
        return update(catalogue, tagger, planned)


def content(place: Path) -> tuple[list[tuple[object, ...]], dict[bytes, np.ndarray]]:
    with sqlite3.connect(place) as database:
        files = database.execute("SELECT path, size, digest, reason FROM file ORDER BY path").fetchall()
        vectors = dict(database.execute("SELECT digest, S FROM content"))
    return files, {digest: np.frombuffer(S, "<f2").astype(float) for digest, S in vectors.items()}


def same(first: Path, second: Path) -> None:
    """The same files, and the same vectors but for the last bits, which depend on what was computed together."""
    (files, vectors), (other_files, other_vectors) = content(first), content(second)
    assert files == other_files and vectors.keys() == other_vectors.keys()
    for digest, S in vectors.items():
        np.testing.assert_allclose(S, other_vectors[digest], atol=5e-3, rtol=1e-2)


def test_a_second_run_computes_nothing(tagger: Tagger, album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = brought_up_to_date(tagger, album)
    assert (first.num_files, first.num_new, first.num_computed) == (41, 41, 40)
    assert list(first.failures) == ["bad.jpg"]
    monkeypatch.setattr(tagger, "embed_pixels", None)
    second = brought_up_to_date(tagger, album)
    assert (second.num_files, second.num_new, second.num_computed) == (41, 0, 0)
    assert list(second.failures) == ["bad.jpg"]


def test_moved_and_copied_pictures_are_not_computed_again(tagger: Tagger, album: Path) -> None:
    brought_up_to_date(tagger, album)
    (album / "trip0" / "0000.png").rename(album / "moved.png")
    shutil.copy(album / "trip1" / "0001.png", album / "copy.png")
    (album / "trip2" / "0002.png").unlink()
    done = brought_up_to_date(tagger, album)
    assert (done.num_new, done.num_computed, done.num_gone) == (2, 0, 2)
    with Catalogue(catalogue_of(album)) as catalogue:
        files = catalogue.files()
        model = catalogue.model(tagger.identity, tagger.vectors_shape)
        one, other = catalogue.vectors(model, ["copy.png", "trip1/0001.png"])
    assert "trip0/0000.png" not in files and files["copy.png"].digest == files["trip1/0001.png"].digest
    np.testing.assert_array_equal(one, other)


def test_equal_pictures_in_one_run_are_computed_once(tagger: Tagger, tmp_path: Path) -> None:
    folder = tmp_path / "same"
    folder.mkdir()
    for index in range(100):
        Image.new("RGB", (8, 8), COLOURS["red"]).save(folder / f"{index}.png")
    assert brought_up_to_date(tagger, folder).num_computed == 1
    with Catalogue(catalogue_of(folder)) as catalogue:
        assert len(catalogue.files()) == 100


def test_copies_are_kept_while_the_rest_is_read(
    tagger: Tagger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, place = tmp_path / "same", tmp_path / "same.zerotag"
    folder.mkdir()
    Image.new("RGB", (8, 8), COLOURS["red"]).save(folder / "000.png")
    for index in range(1, 120):
        os.link(folder / "000.png", folder / f"{index:03}.png")
    monkeypatch.setattr("zerotag.tagging.library.FILES_AT_ONCE", 40)
    told: list[int] = []
    with Catalogue(place, folder) as catalogue:
        planned = plan(folder, place, tagger)
        update(catalogue, tagger, planned, progress=lambda _, done, __: told.append(len(catalogue.files())))
    assert told[0] <= 1 and 40 <= told[1] < 120 and told[-1] == 120


def test_damaged_vectors_are_computed_again(tagger: Tagger, album: Path) -> None:
    brought_up_to_date(tagger, album)
    with sqlite3.connect(catalogue_of(album)) as database:
        database.execute("UPDATE content SET width = width + 1 WHERE rowid <= 3")
    done = brought_up_to_date(tagger, album, reread=True)
    assert (done.num_damaged, done.num_computed) == (3, 3) and not failed_checks(catalogue_of(album))


def test_vectors_that_are_not_finite_are_not_kept(tagger: Tagger, album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tagger, "embed_pixels", lambda p: torch.full((len(p), *tagger.vectors_shape), 1e9))
    done = brought_up_to_date(tagger, album)
    assert done.num_computed == 0 and "not finite" in done.failures["trip0/0000.png"]


def test_a_changed_picture_is_read_again(tagger: Tagger, album: Path) -> None:
    brought_up_to_date(tagger, album)
    Image.new("RGB", (9, 9), COLOURS["blue"]).save(album / "trip0" / "0000.png")
    done = brought_up_to_date(tagger, album)
    assert (done.num_new, done.num_computed) == (1, 1)


def test_only_failures_are_tried_again(tagger: Tagger, album: Path) -> None:
    brought_up_to_date(tagger, album)
    assert brought_up_to_date(tagger, album, retry_failed=True).num_new == 1
    Image.new("RGB", (9, 9), COLOURS["blue"]).save(album / "bad.jpg", "JPEG")
    assert brought_up_to_date(tagger, album).failures == {}


def test_patterns_choose(tagger: Tagger, album: Path) -> None:
    def found(**patterns: list[str]) -> set[str]:
        return {file.path for file in plan(album, catalogue_of(album), tagger, **patterns).found}

    assert found(include=["trip0/*"]) == {f"trip0/{i:04}.png" for i in range(0, 40, 3)}
    assert found(include=["*.jpg"]) == {"bad.jpg"}
    assert not any(path.startswith("trip1/") for path in found(exclude=["trip1/*", "bad*"]))
    with pytest.raises(ZerotagError, match="holds no pictures"):
        found(include=["*.tiff"])


def test_a_plan_writes_nothing(tagger: Tagger, album: Path) -> None:
    planned = plan(album, catalogue_of(album), tagger)
    assert isinstance(planned, Plan) and len(planned.new) == 41
    assert not catalogue_of(album).exists()


def test_another_model_has_vectors_of_its_own(tagger: Tagger, album: Path, toy_run: Path) -> None:
    brought_up_to_date(tagger, album)
    other = Tagger.load(toy_run)
    other.identity = "another one"
    assert brought_up_to_date(other, album).num_computed == 40
    assert brought_up_to_date(tagger, album).num_computed == 0


def test_tags_from_the_catalogue_are_those_of_the_pictures(tagger: Tagger, album: Path) -> None:
    brought_up_to_date(tagger, album)
    vocabulary = tagger.vocabulary(["red", "blue", "grey"])
    with Catalogue(catalogue_of(album)) as catalogue:
        tags = dict(FolderTags(catalogue, tagger, vocabulary, Rule(top_k=3)))
    direct = tagger.tag([album / "trip0" / "0003.png"], ["red", "blue", "grey"], top_k=3)[0]
    assert len(tags) == 40
    by_label = {tag.label: tag.score for tag in tags["trip0/0003.png"]}
    assert by_label == {tag.label: pytest.approx(tag.score, abs=0.02) for tag in direct}


def started(run: Path, folder: Path, place: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", UPDATE, str(run), str(folder), str(place)]
    return subprocess.Popen(words, start_new_session=True)


def test_two_runs_on_one_folder_at_once(tagger: Tagger, album: Path, toy_run: Path, tmp_path: Path) -> None:
    place = tmp_path / "both.zerotag"
    both = [started(toy_run, album, place) for _ in range(2)]
    assert [process.wait(120) for process in both] == [0, 0]
    brought_up_to_date(tagger, album)
    same(place, catalogue_of(album))


@contextmanager
def warm(run: Path) -> Iterator[Callable[[Path, Path], int]]:
    """A function that starts an update in a process of its own group, forked from one that has the model loaded."""
    starter = subprocess.Popen([sys.executable, "-c", WARM, str(run)], stdin=PIPE, stdout=PIPE, text=True)
    assert starter.stdin is not None and starter.stdout is not None
    stdin, stdout = starter.stdin, starter.stdout

    def start(folder: Path, place: Path) -> int:
        stdin.write(json.dumps([str(folder), str(place)]) + "\n")
        stdin.flush()
        return int(stdout.readline())

    try:
        yield start
    finally:
        starter.kill()
        starter.communicate()


@pytest.mark.slow
def test_a_run_that_is_killed_twenty_times_ends_as_one_that_is_not(
    tagger: Tagger, toy_run: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "many"
    paint(folder, 1200)
    random = np.random.default_rng(SEED)
    place = tmp_path / "killed.zerotag"
    done = [0]
    with warm(toy_run) as start:
        for _ in range(20):
            process = start(folder, place)
            target = done[-1] + int(random.integers(1, 60))
            while is_running(process) and number_of(place) < target:
                time.sleep(float(random.uniform(0.001, 0.03)))
            with suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)
            done.append(number_of(place))
        assert 0 < done[5] < done[15] < done[-1] < 1200
    assert not failed_checks(place)
    assert started(toy_run, folder, place).wait(300) == 0
    brought_up_to_date(tagger, folder)
    same(place, catalogue_of(folder))


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def failed_checks(place: Path) -> list[str]:
    return [one.detail for one in check_catalogue(place) if one.state == "failed"]


def number_of(place: Path) -> int:
    try:
        with sqlite3.connect(f"file:{place}?mode=ro", uri=True, timeout=5) as database:
            return int(database.execute("SELECT count(*) FROM content").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@pytest.mark.parametrize("harm", ["text", "other format", "other folder", "a folder"])
def test_a_catalogue_that_will_not_do_is_named(harm: str, tagger: Tagger, album: Path, tmp_path: Path) -> None:
    place = tmp_path / "it.zerotag"
    if harm == "text":
        place.write_text("no database " * 100)
        message = "is no catalogue of zerotag, or it is damaged"
    elif harm == "a folder":
        place.mkdir()
        message = "is a folder"
    else:
        with Catalogue(place, album if harm == "other format" else tmp_path):
            pass
        message = "is the catalogue of"
        if harm == "other format":
            with sqlite3.connect(place) as database:
                database.execute("UPDATE about SET value = '99' WHERE key = 'format'")
            message = "is of format 99"
    with pytest.raises(ZerotagError, match=message):
        plan(album, place, tagger)


def test_hidden_files_linked_folders_and_other_files_are_passed_over(tagger: Tagger, tmp_path: Path) -> None:
    for name in ("b.png", "a/c.JPG", "a/d.txt", ".hidden.png", ".thumbs/e.png"):
        (tmp_path / "it" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "it" / name).touch()
    (tmp_path / "it" / "loop").symlink_to(tmp_path / "it")
    found = plan(tmp_path / "it", tmp_path / "c.zerotag", tagger).found
    assert sorted(file.path for file in found) == ["a/c.JPG", "b.png"]
    with pytest.raises(ZerotagError, match="there is no folder"):
        plan(tmp_path / "none", tmp_path / "c.zerotag", tagger)


def test_a_name_that_is_no_text_is_listed(tagger: Tagger, album: Path) -> None:
    (album / os.fsdecode(b"b\xff.png")).write_bytes((album / "trip0" / "0000.png").read_bytes())
    done = brought_up_to_date(tagger, album)
    assert done.failures["b\\xff.png"] == "its name is no UTF-8 text; rename it" and done.num_computed == 40


def test_a_folder_that_moved_with_its_catalogue_goes_on(tagger: Tagger, album: Path, tmp_path: Path) -> None:
    brought_up_to_date(tagger, album)
    album.rename(tmp_path / "moved")
    catalogue_of(tmp_path / "album").with_name("album.zerotag").rename(tmp_path / "moved.zerotag")
    place, before = tmp_path / "moved.zerotag", (tmp_path / "moved.zerotag").read_bytes()
    assert plan(tmp_path / "moved", place, tagger).new == [] and place.read_bytes() == before
    done = brought_up_to_date(tagger, tmp_path / "moved")
    assert (done.num_new, done.num_computed) == (0, 0)
    with Catalogue(tmp_path / "moved.zerotag") as catalogue:
        assert catalogue.folder == tmp_path / "moved"


def test_the_folder_may_be_here(tagger: Tagger, album: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(album)
    assert catalogue_of(Path()) == album.with_name("album.zerotag")
    assert brought_up_to_date(tagger, Path()).num_files == 41
