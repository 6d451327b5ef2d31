"""Catalogues that are damaged, old or strange: never wrong vectors in silence, and never a traceback."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from zerotag import doctor
from zerotag.cli.tagging import untag
from zerotag.errors import ZerotagError
from zerotag.tagging.catalogue import Catalogue, Content, File, Sidecar
from zerotag.tagging.checksums import checksum
from zerotag.tagging.contents import DamagedVectorsError
from zerotag.tagging.integrity import check_catalogue
from zerotag.tagging.sidecars import _digest, remove_sidecars

NUMBER, SHAPE = 6, (3, 5)  # an odd number of numbers, so that a row's last word is filled up
DIGESTS = [bytes([index + 1]) * 16 for index in range(NUMBER)]


def vectors() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(NUMBER, *SHAPE)).astype(np.float16)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "album").mkdir()
    place = tmp_path / "album.zerotag"
    with Catalogue(place, tmp_path / "album") as catalogue:
        model = catalogue.model("it", SHAPE)
        contents = [Content(digest, 4, 3, S) for digest, S in zip(DIGESTS, vectors(), strict=True)]
        catalogue.save([File(f"{i}.jpg", 1, 1, digest) for i, digest in enumerate(DIGESTS)], contents, model)
        catalogue.judge(DIGESTS[0], "dog", True)
        catalogue.note_sidecar(Sidecar("0.jpg.xmp", b"before", bytes(16), ["dog"]))
    changed(place, "PRAGMA journal_mode = delete")
    return place


def changed(place: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(place)) as database, database:
        database.execute(statement, values)


def read(place: Path) -> tuple[np.ndarray, list[str]]:
    with Catalogue(place) as catalogue:
        blocks = list(catalogue.pictures(catalogue.model("it", SHAPE)))
    return np.concatenate([S for _, S in blocks]), [path for paths, _ in blocks for path in paths]


def failed(place: Path) -> dict[str, str]:
    return {one.name: one.detail for one in check_catalogue(place) if one.state == "failed"}


def test_a_whole_catalogue_is_found_whole(place: Path) -> None:
    assert failed(place) == {}
    np.testing.assert_array_equal(read(place)[0], vectors())


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("S = CAST(x'ff' || substr(S, 2) AS BLOB)", "their checksum is another"),
        ("S = substr(S, 3)", "of another kind or length"),
        ("S = x'ff' || substr(S, 2)", "of another kind or length"),
        ("S = x''", "of another kind or length"),
        ("width = 5", "their checksum is another"),
        ("S = (SELECT S FROM content WHERE digest != it.digest LIMIT 1)", "their checksum is another"),
        ("S = CAST(x'007c' || substr(S, 3) AS BLOB), checksum = NULL", "not finite"),
        ("S = CAST(x'00fe' || substr(S, 3) AS BLOB), checksum = NULL", "not finite"),
    ],
)
def test_damaged_vectors_are_named_and_dropped(harm: str, said: str, place: Path) -> None:
    changed(place, f"UPDATE content AS it SET {harm} WHERE digest = ?", DIGESTS[2])
    assert list(failed(place)) == ["vectors"] and said in failed(place)["vectors"]
    with pytest.raises(DamagedVectorsError, match=rf"the vectors of '2\.jpg' are damaged \(.*{said}\).* zerotag tag"):
        read(place)
    assert failed(place) == {}
    S, paths = read(place)
    assert paths == ["0.jpg", "1.jpg", "3.jpg", "4.jpg", "5.jpg"]
    np.testing.assert_array_equal(S, np.delete(vectors(), 2, axis=0))


def test_what_is_opened_for_reading_is_not_written(place: Path) -> None:
    changed(place, "UPDATE content SET width = 5")
    before = place.read_bytes()
    with Catalogue(place, reading=True) as catalogue, pytest.raises(DamagedVectorsError, match="--reread RUN"):
        list(catalogue.pictures(1))
    assert place.read_bytes() == before


@pytest.mark.parametrize("places", [(0,), (7,), (29,), (3, 11)])
def test_a_checksum_is_another_after_any_change(places: tuple[int, ...]) -> None:
    S = bytearray(vectors()[0].tobytes())
    row = DIGESTS[0], 4, 3, bytes(S)
    for at in places:
        S[at] ^= 1
    assert checksum(row) != checksum((*row[:3], bytes(S)))


def first_format(place: Path) -> None:
    for table in ("content", "sidecar"):
        changed(place, f"ALTER TABLE {table} DROP COLUMN checksum")
    changed(place, "UPDATE about SET value = '1' WHERE key = 'format'")


def test_a_catalogue_of_the_first_format_goes_on(place: Path) -> None:
    first_format(place)
    before = place.read_bytes()
    with Catalogue(place, reading=True) as catalogue:
        np.testing.assert_array_equal(next(catalogue.pictures(1))[1], vectors())
        assert catalogue.sidecar("0.jpg.xmp") == Sidecar("0.jpg.xmp", b"before", bytes(16), ["dog"])
    assert failed(place) == {} and place.read_bytes() == before
    with Catalogue(place) as catalogue:
        catalogue.save([], [Content(b"n" * 16, 1, 1, vectors()[0])], 1)
        np.testing.assert_array_equal(next(catalogue.pictures(1))[1], vectors())
    assert failed(place) == {}
    with closing(sqlite3.connect(place)) as database:
        noted = database.execute("SELECT count(checksum), count(*) FROM content").fetchone()
        assert (*noted, *database.execute("SELECT value FROM about WHERE key = 'format'").fetchone()) == (1, 7, "2")


def test_a_damaged_note_of_an_xmp_file_restores_nothing(place: Path) -> None:
    changed(place, "UPDATE sidecar SET original = x'00'")
    (place.with_suffix("") / "0.jpg.xmp").write_bytes(b"as others wrote it")
    assert "0.jpg.xmp" in failed(place)["XMP files"]
    with Catalogue(place) as catalogue:
        summary = remove_sidecars(catalogue.folder, catalogue)
    assert "is damaged" in summary.failures["0.jpg.xmp"]
    assert (place.with_suffix("") / "0.jpg.xmp").read_bytes() == b"as others wrote it"


def everything(place: Path) -> list[object]:
    found: list[object] = []
    with Catalogue(place) as catalogue:
        model = catalogue.model("it", SHAPE)
        reads: list[Callable[[], object]] = [
            catalogue.files,
            catalogue.sizes,
            catalogue.verdicts,
            catalogue.sidecars,
            lambda: catalogue.sidecar("0.jpg.xmp"),
            lambda: catalogue.remembered("tagged"),
            lambda: catalogue.digests_of(["0.jpg", "5.jpg"]),
            lambda: catalogue.path_of(DIGESTS[1]),
            lambda: catalogue.number_of_pictures(model),
            lambda: catalogue.vectors(model, ["0.jpg", "5.jpg"]),
        ]
        for each in reads:
            try:
                found.append(each())
            except ZerotagError:
                found.append(None)
        for paths, S in catalogue.pictures(model):
            assert set(map(bytes, S)) <= set(map(bytes, vectors())), paths
    return found


def test_bytes_changed_anywhere_give_sentences_and_no_wrong_vectors(place: Path) -> None:
    content, random = place.read_bytes(), np.random.default_rng(0)
    used = np.flatnonzero(np.frombuffer(content, np.uint8))
    num_sentences = 0
    for at in random.choice(used, 250, replace=False).tolist():
        harmed = bytearray(content)
        harmed[at] ^= int(random.integers(1, 256))
        place.write_bytes(harmed)
        list(check_catalogue(place))
        try:
            everything(place)
        except ZerotagError:
            num_sentences += 1
        for beside in place.parent.glob("album.zerotag-*"):
            beside.unlink()
    assert num_sentences > 20


@pytest.mark.parametrize("path", ["../../etc/passwd", "/etc/passwd", "a/../../b.jpg", "..", "", "a\0b.jpg"])
@pytest.mark.parametrize("table", ["file", "sidecar"])
def test_paths_that_leave_the_folder_are_refused(table: str, path: str, place: Path) -> None:
    changed(place, f"UPDATE {table} SET path = ? WHERE path LIKE '0.jpg%'", path)
    name = "files" if table == "file" else "XMP files"
    assert "which is no path within its folder" in failed(place)[name]
    with Catalogue(place) as catalogue, pytest.raises(ZerotagError, match="no path within its folder"):
        catalogue.files() if table == "file" else remove_sidecars(catalogue.folder, catalogue)


def test_what_is_neither_a_catalogue_nor_a_run(tmp_path: Path, place: Path) -> None:
    assert {one.state for one in doctor.check(place.with_suffix(""))} == {"ok"}
    with pytest.raises(ZerotagError, match="neither a run"):
        doctor.check(tmp_path)
    (text,) = doctor.check(Path(__file__))
    assert text.state == "failed" and "is no catalogue of zerotag" in text.detail


def test_nothing_is_written_through_a_linked_sub_folder(place: Path, tmp_path: Path) -> None:
    elsewhere, folder = tmp_path / "elsewhere", place.with_suffix("")
    elsewhere.mkdir()
    (elsewhere / "0.jpg.xmp").write_bytes(b"theirs")
    (folder / "linked").symlink_to(elsewhere)
    with Catalogue(place) as catalogue:
        catalogue.note_sidecar(Sidecar("linked/0.jpg.xmp", None, _digest(b"theirs"), []))
        summary = remove_sidecars(folder, catalogue)
    assert "out of the folder of pictures" in summary.failures["linked/0.jpg.xmp"]
    assert (elsewhere / "0.jpg.xmp").read_bytes() == b"theirs"


def test_a_catalogue_that_was_sent_changes_nothing_in_the_folder_that_it_names(place: Path, tmp_path: Path) -> None:
    victim, sent = tmp_path / "victim", tmp_path / "sent" / "holiday.zerotag"
    victim.mkdir()
    sent.parent.mkdir()
    (victim / "a.xmp").write_bytes(b"theirs")
    place.rename(sent)
    with Catalogue(sent) as catalogue:
        catalogue.note_sidecar(Sidecar("a.xmp", None, _digest(b"theirs"), []))
    changed(sent, "UPDATE about SET value = ? WHERE key = 'folder'", str(victim))
    with pytest.raises(ZerotagError, match=f"of the folder {victim}"):
        untag(sent)
    assert (victim / "a.xmp").read_bytes() == b"theirs"
    with Catalogue(sent, victim) as catalogue:
        catalogue.settle_in_folder()
        catalogue.check_is_ours()
