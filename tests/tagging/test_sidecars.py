"""XMP files: what others wrote is kept, a second write changes nothing, and taking back restores byte for byte."""

from __future__ import annotations

import hashlib
import os
import stat
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml.etree import canonicalize
from PIL import Image
from xmp_packets import PACKETS, RDF

from zerotag.errors import ZerotagError
from zerotag.tagging import xmp
from zerotag.tagging.catalogue import Catalogue
from zerotag.tagging.sidecar_names import SidecarNames
from zerotag.tagging.sidecars import SidecarSummary, remove_sidecars, write_sidecars
from zerotag.tagging.tagger import Tag
from zerotag.tagging.words import Word, WordList

WORDS = WordList((Word(name="kitten", parent="cat"), Word(name="cat", parent="animal"), Word(name="sea")))
KITTEN, SEA = Tag("kitten", 1.0, False), Tag("sea", 0.5, True)
FOREIGN = {
    "digiKam": PACKETS["digiKam"],
    "darktable": PACKETS["darktable"],
    "bare": f'<rdf:RDF xmlns:rdf="{RDF}"></rdf:RDF>',
    "Lightroom": PACKETS["Lightroom"],
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """60 pictures with XMP files of four programs, and one without."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(60):
        Image.new("RGB", (4, 4)).save(folder / f"{index:03}.jpg")
        text = list(FOREIGN.values())[index % 4]
        (folder / f"{index:03}.jpg.xmp").write_bytes(text.replace("more", f"more {index}").encode())
    Image.new("RGB", (4, 4)).save(folder / "new.jpg")
    return folder


def tagged(folder: Path, *tags: Tag) -> list[tuple[str, list[Tag]]]:
    return [(path.name, list(tags)) for path in sorted(folder.glob("*.jpg"))]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_foreign_content_is_kept_and_comes_back(folder: Path, tmp_path: Path) -> None:
    before = contents(folder)
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        first = write_sidecars(catalogue, tagged(folder, KITTEN, SEA), WORDS)
        assert (first.num_written, first.num_same, first.failures) == (61, 0, {})
        after = contents(folder)
        second = write_sidecars(catalogue, tagged(folder, KITTEN, SEA), WORDS)
        assert (second.num_written, second.num_same) == (0, 61) and contents(folder) == after
        assert {name: hashlib.sha256(c).digest() for name, c in after.items() if name.endswith(".jpg")} == {
            name: hashlib.sha256(c).digest() for name, c in before.items() if name.endswith(".jpg")
        }
        for name in ("000.jpg.xmp", "001.jpg.xmp", "003.jpg.xmp"):
            for kept in (b"holiday", b"trips/holiday", b'Rating="4"', b"exposure", b"Orte|Meer", b"x-default"):
                assert (kept in before[name]) <= (kept in after[name])
        assert xmp.keywords(after["000.jpg.xmp"]) == ["holiday", "sea", "kitten", "cat", "animal"]
        assert b"zerotag|animal|cat|kitten" in after["000.jpg.xmp"] and b"zerotag/sea" in after["000.jpg.xmp"]
        third = write_sidecars(catalogue, tagged(folder, SEA), WORDS)
        assert third.num_written == 61 and b"kitten" not in (folder / "000.jpg.xmp").read_bytes()
        undone = remove_sidecars(folder, catalogue)
        assert (undone.num_written, undone.num_removed) == (60, 1)
        assert contents(folder) == before and catalogue.sidecars() == {}
        assert remove_sidecars(folder, catalogue).num_written == 0


def test_what_others_change_in_between_is_kept(folder: Path, tmp_path: Path) -> None:
    file = folder / "000.jpg.xmp"
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        write_sidecars(catalogue, [("000.jpg", [KITTEN])], WORDS)
        file.write_bytes(file.read_bytes().replace(b'Rating="4"', b'Rating="5"').replace(b"holiday<", b"vacation<"))
        write_sidecars(catalogue, [("000.jpg", [SEA])], WORDS)
        assert xmp.keywords(file.read_bytes()) == ["vacation", "sea"]
        file.write_bytes(file.read_bytes().replace(b'Rating="5"', b'Rating="1"'))
        remove_sidecars(folder, catalogue)
    left = file.read_bytes()
    assert b'Rating="1"' in left and xmp.keywords(left) == ["vacation", "sea"] and b"zerotag" not in left


def test_a_picture_that_loses_its_tags_loses_its_file(folder: Path, tmp_path: Path) -> None:
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        write_sidecars(catalogue, [("new.jpg", [KITTEN])], WORDS)
        assert (folder / "new.jpg.xmp").exists()
        done = write_sidecars(catalogue, [("new.jpg", [])], WORDS)
        assert done.num_removed == 1 and not (folder / "new.jpg.xmp").exists()
        assert write_sidecars(catalogue, [("new.jpg", [])], WORDS).num_removed == 0


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no xml", "it is not XMP"),
        (b"<a/>", "one rdf:RDF"),
        (
            b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/x">]><x xmlns:rdf="%b"><rdf:RDF>&a;</rdf:RDF></x>',
            "XMP",
        ),
        (b"", "it is not XMP"),
    ],
)
def test_what_is_no_xmp_is_left_alone(content: bytes, reason: str, folder: Path, tmp_path: Path) -> None:
    file = folder / "000.jpg.xmp"
    file.write_bytes(content.replace(b"%b", RDF.encode()))
    before = file.read_bytes()
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        done = write_sidecars(catalogue, tagged(folder, SEA), WORDS)
    assert list(done.failures) == ["000.jpg"] and reason in done.failures["000.jpg"]
    assert file.read_bytes() == before and done.num_written == 60


def test_links_are_left_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("mine")
    (folder / "new.jpg.xmp").symlink_to(tmp_path / "elsewhere")
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        done = write_sidecars(catalogue, [("new.jpg", [SEA])], WORDS)
    assert "it is a link" in done.failures["new.jpg"] and (tmp_path / "elsewhere").read_text() == "mine"


labels = st.lists(st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cn"]), min_size=1), max_size=5)


@given(labels, st.sampled_from(list(FOREIGN)))
def test_any_words_go_in_and_out(words: list[str], program: str) -> None:
    packet = FOREIGN[program].encode()
    with_words, added = xmp.with_labels(packet, [[word] for word in words])
    assert {word.strip().casefold() for word in words} <= {text.strip().casefold() for text in xmp.keywords(with_words)}
    without = xmp.without_labels(with_words, added)
    if without is None:
        assert program == "bare"
    else:
        assert xmp.keywords(without) == xmp.keywords(packet) and b"zerotag" not in without


def test_a_packet_that_is_no_xmp_is_an_error() -> None:
    with pytest.raises(ZerotagError, match="it is not XMP"):
        xmp.keywords(np.random.default_rng(0).bytes(50))


def test_a_word_that_xml_cannot_hold_is_a_failure_of_its_picture(folder: Path, tmp_path: Path) -> None:
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        done = write_sidecars(catalogue, [("new.jpg", [Tag("bell\x07", 1.0, False)]), ("000.jpg", [SEA])], WORDS)
    assert list(done.failures) == ["new.jpg"] and done.num_written == 1


def test_a_sidecar_that_moved_with_its_picture_is_known_again(folder: Path, tmp_path: Path) -> None:
    before = contents(folder)
    (folder / "trip").mkdir()
    for name in ("000.jpg", "000.jpg.xmp", "new.jpg"):
        (folder / name).rename(folder / "trip" / name)
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        write_sidecars(catalogue, [("trip/000.jpg", [KITTEN]), ("trip/new.jpg", [KITTEN])], WORDS)
        (folder / "trip").rename(folder / "2024-trip")
        moved = [("2024-trip/000.jpg", [KITTEN]), ("2024-trip/new.jpg", [SEA])]
        assert write_sidecars(catalogue, moved, WORDS).num_same == 1
        text = (folder / "2024-trip" / "000.jpg.xmp").read_text()
        assert text.count("zerotag|animal|cat|kitten") == 1 and set(catalogue.sidecars()) == {
            "2024-trip/000.jpg.xmp",
            "2024-trip/new.jpg.xmp",
        }
        assert remove_sidecars(folder, catalogue).num_removed == 1
        assert (folder / "2024-trip" / "000.jpg.xmp").read_bytes() == before["000.jpg.xmp"]


def test_tags_are_removed_without_the_catalogue_too(folder: Path, tmp_path: Path) -> None:
    before = contents(folder)
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        write_sidecars(catalogue, tagged(folder, KITTEN), WORDS)
    done = remove_sidecars(folder)
    assert (done.num_written, done.num_removed, done.failures) == (60, 1, {})
    after = contents(folder)
    for name in ("000.jpg.xmp", "001.jpg.xmp", "003.jpg.xmp"):
        assert canonicalize(after[name].decode()) == canonicalize(before[name].decode())
    assert remove_sidecars(folder) == SidecarSummary()


def test_a_second_catalogue_takes_no_tags_for_somebody_elses(folder: Path, tmp_path: Path) -> None:
    for name, tag in (("one", KITTEN), ("two", SEA)):
        with Catalogue(tmp_path / f"{name}.zerotag", folder) as catalogue:
            write_sidecars(catalogue, tagged(folder, tag), WORDS)
    assert xmp.keywords((folder / "001.jpg.xmp").read_bytes()) == ["darktable", "nef", "sea"]
    with Catalogue(tmp_path / "one.zerotag", folder) as catalogue:
        remove_sidecars(folder, catalogue)
    assert not any(xmp.is_marked(content) for content in contents(folder).values())


@pytest.mark.parametrize("other", ["write", "remove"])
def test_two_runs_on_one_folder_take_turns(other: str, folder: Path, tmp_path: Path) -> None:
    before = contents(folder)
    with Catalogue(tmp_path / "c.zerotag", folder):
        pass
    process = get_context("spawn").Process
    runs = [process(target=write_often, args=(folder, tmp_path / "c.zerotag", KITTEN))]
    if other == "write":
        runs.append(process(target=write_often, args=(folder, tmp_path / "c.zerotag", SEA)))
    else:
        runs.append(process(target=remove_often, args=(folder, tmp_path / "c.zerotag")))
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0]
    for name in ("000.jpg.xmp", "041.jpg.xmp", "new.jpg.xmp"):
        if (folder / name).exists():
            found = xmp.keywords((folder / name).read_bytes())
            assert not {"kitten", "sea"} <= {*found[-3:]}, found
    with Catalogue(tmp_path / "c.zerotag") as catalogue:
        assert remove_sidecars(folder, catalogue).failures == {}
    assert contents(folder) == before


def write_often(folder: Path, place: Path, tag: Tag) -> None:
    with Catalogue(place, folder) as catalogue:
        for _ in range(3):
            assert write_sidecars(catalogue, tagged(folder, tag), WORDS).failures == {}


def remove_often(folder: Path, place: Path) -> None:
    with Catalogue(place, folder) as catalogue:
        for _ in range(3):
            assert remove_sidecars(folder, catalogue).failures == {}


def test_the_name_that_lightroom_has_is_an_option(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("IMG.jpg", "both.jpg", "both.cr2", "raw.jpg"):
        (folder / name).touch()
    theirs = PACKETS["Lightroom"].encode()
    (folder / "IMG.xmp").write_bytes(theirs)
    (folder / "raw.XMP").write_bytes(theirs.replace(b"JPG", b"CR2"))
    pictures = [(name, [SEA]) for name in ("IMG.jpg", "both.jpg", "raw.jpg")]
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        full = write_sidecars(catalogue, pictures, WORDS)
        assert full.num_written == 3 and full.beside == {"IMG.jpg": "IMG.xmp", "raw.jpg": "raw.XMP"}
        stem = write_sidecars(catalogue, pictures, WORDS, SidecarNames.STEM)
        assert "both.cr2" in stem.failures["both.jpg"] and ".CR2 file" in stem.failures["raw.jpg"]
        assert xmp.keywords((folder / "IMG.xmp").read_bytes()) == ["sea"] and not (folder / "IMG.jpg.xmp").exists()
        remove_sidecars(folder, catalogue)
    assert (folder / "IMG.xmp").read_bytes() == theirs
    assert sorted(path.name for path in folder.glob("*.[xX]*")) == ["IMG.xmp", "raw.XMP"]


def test_names_that_differ_in_case_are_one_file_unless_two_pictures_do(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("IMG.JPG", "img.jpg", "A.JPG"):
        (folder / name).touch()
    (folder / "a.jpg.XMP").write_bytes(PACKETS["seq"].encode())
    (folder / "IMG.JPG.xmp").write_bytes(PACKETS["seq"].encode())
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        done = write_sidecars(catalogue, [(name, [SEA]) for name in ("A.JPG", "img.jpg")], WORDS)
        assert (done.num_written, done.failures) == (2, {})
        assert {file.name for file in folder.iterdir() if file.suffix.lower() == ".xmp"} == {
            "a.jpg.XMP",
            "IMG.JPG.xmp",
            "img.jpg.xmp",
        }
        assert xmp.keywords((folder / "a.jpg.XMP").read_bytes()) == ["holiday", "sea"]
        assert xmp.keywords((folder / "IMG.JPG.xmp").read_bytes()) == ["holiday"]
        remove_sidecars(folder, catalogue)
    assert (folder / "a.jpg.XMP").read_bytes() == PACKETS["seq"].encode()


def test_pipes_and_protected_files_are_left_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(folder / "new.jpg.xmp")
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "001.jpg.xmp")
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        done = write_sidecars(catalogue, [("new.jpg", [SEA]), ("000.jpg", [SEA]), ("001.jpg", [SEA])], WORDS)
        assert done.failures == {"new.jpg": "it is not a regular file", "001.jpg": "it is write-protected"}
        assert "new.jpg.xmp" in remove_sidecars(folder, catalogue).failures
    assert stat.S_ISFIFO((folder / "new.jpg.xmp").stat().st_mode)


def test_who_may_read_a_file_stays_as_it_was(folder: Path, tmp_path: Path) -> None:
    (folder / "000.jpg.xmp").chmod(0o640)
    with Catalogue(tmp_path / "c.zerotag", folder) as catalogue:
        write_sidecars(catalogue, [("000.jpg", [SEA])], WORDS)
    assert stat.S_IMODE((folder / "000.jpg.xmp").stat().st_mode) == 0o640
