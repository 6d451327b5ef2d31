"""Notes of XMP files: each counts for the content it is of, wherever the file went, and never against anybody else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from xmp_packets import described, listed, packet

from zerotag.tagging import xmp
from zerotag.tagging.catalogue import Catalogue
from zerotag.tagging.sidecar_names import SidecarNames
from zerotag.tagging.sidecars import SidecarSummary, remove_sidecars, write_sidecars
from zerotag.tagging.tagger import Tag
from zerotag.tagging.words import Word, WordList

WORDS = WordList((Word(name="kitten", parent="cat"), Word(name="cat", parent="animal"), Word(name="sea")))
KITTEN, SEA = Tag("kitten", 1.0, False), Tag("sea", 0.5, True)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def own(*keywords: str) -> bytes:
    return packet(described(listed("dc:subject", "Bag", *keywords))).encode()


@pytest.fixture
def few(tmp_path: Path) -> Path:
    """A folder without pictures, since none is looked at."""
    (tmp_path / "few").mkdir()
    return tmp_path / "few"


def run(folder: Path, *pictures: tuple[str, list[Tag]], **options: SidecarNames) -> SidecarSummary:
    with Catalogue(folder.with_name("few.zerotag"), folder) as catalogue:
        return write_sidecars(catalogue, pictures, WORDS, **options)


def undo(folder: Path) -> SidecarSummary:
    with Catalogue(folder.with_name("few.zerotag"), folder) as catalogue:
        return remove_sidecars(folder, catalogue)


def test_a_keyword_that_somebody_adds_to_a_file_that_was_never_written_stays(
    few: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = few / "a.jpg.xmp"
    file.write_bytes(own("holiday"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: Path(path) != file)
        assert run(few, ("a.jpg", [SEA])).failures == {"a.jpg": "it is write-protected"}
    file.write_bytes(own("holiday", "sea"))
    undo(few)
    assert file.read_bytes() == own("holiday", "sea")


def test_a_file_that_another_program_made_in_its_place_is_not_ours(few: Path) -> None:
    run(few, ("a.jpg", [SEA]))
    (few / "a.jpg.xmp").unlink()
    (few / "a.jpg.xmp").write_bytes(own("sea", "Anna"))
    run(few, ("a.jpg", [KITTEN]))
    assert set(xmp.keywords((few / "a.jpg.xmp").read_bytes())) == {"sea", "Anna", "kitten", "cat", "animal"}
    undo(few)
    assert (few / "a.jpg.xmp").read_bytes() == own("sea", "Anna")


@pytest.mark.parametrize("again", [False, True])
def test_renumbered_files_keep_what_is_theirs(again: bool, few: Path) -> None:
    theirs = [own(f"k{number}", "sea") if number % 2 else own("k") for number in range(6)]
    names = [f"{number}.jpg" for number in range(7)]
    for name, content in zip(names, theirs, strict=False):
        (few / f"{name}.xmp").write_bytes(content)
    run(few, *((name, [SEA]) for name in names[:6]))
    for number in reversed(range(6)):
        (few / f"{number}.jpg.xmp").rename(few / f"{number + 1}.jpg.xmp")
    if again:
        run(few, *((name, [KITTEN]) for name in names[1:]))
    undo(few)
    assert [(few / f"{name}.xmp").read_bytes() for name in names[1:]] == theirs


def test_swapped_and_copied_files_come_back_as_they_were(few: Path) -> None:
    (few / "a.jpg.xmp").write_bytes(own("sea", "a"))
    (few / "b.jpg.xmp").write_bytes(own("b"))
    run(few, ("a.jpg", [SEA]), ("b.jpg", [SEA]))
    (few / "a.jpg.xmp").rename(few / "z.jpg.xmp")
    (few / "b.jpg.xmp").rename(few / "a.jpg.xmp")
    (few / "copy.jpg.xmp").write_bytes((few / "a.jpg.xmp").read_bytes())
    run(few, ("copy.jpg", [SEA]))
    undo(few)
    assert contents(few) == {"a.jpg.xmp": own("b"), "copy.jpg.xmp": own("b"), "z.jpg.xmp": own("sea", "a")}


def test_what_another_program_saves_meanwhile_is_not_overwritten(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (few / "a.jpg.xmp").write_bytes(own("holiday"))
    sync = os.fsync

    def saved_meanwhile(descriptor: int) -> None:
        sync(descriptor)
        (few / "a.jpg.xmp").write_bytes(own("holiday", "new"))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", saved_meanwhile)
        assert "another program" in run(few, ("a.jpg", [SEA])).failures["a.jpg"]
    assert contents(few) == {"a.jpg.xmp": own("holiday", "new")}


def test_a_neighbours_file_is_not_the_pictures_own_by_another_name(few: Path) -> None:
    for name in ("photo.jpg", "photo.jpg.webp"):
        (few / name).touch()
    done = run(few, ("photo.jpg", [SEA]), ("photo.jpg.webp", [SEA]))
    assert (done.num_written, done.num_removed, done.failures) == (2, 0, {})
    stem = run(few, ("photo.jpg.webp", [SEA]), names=SidecarNames.STEM)
    assert "photo.jpg too" in stem.failures["photo.jpg.webp"]


def test_notes_outlast_what_is_out_of_reach(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = few / "trip" / "a.jpg.xmp"
    file.parent.mkdir()
    file.write_bytes(own("holiday"))
    run(few, ("trip/a.jpg", [SEA]))
    (few / "trip").rename(few.with_name("elsewhere"))
    undo(few)
    few.with_name("elsewhere").rename(few / "trip")
    with monkeypatch.context() as patch:  # a second run that is refused
        patch.setattr(os, "access", lambda path, mode: Path(path) != file)
        run(few, ("trip/a.jpg", [KITTEN]))
    undo(few)
    assert file.read_bytes() == own("holiday")


def test_a_run_that_is_killed_before_it_writes_loses_no_original(few: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (few / "a.jpg.xmp").write_bytes(own("holiday"))
    run(few, ("a.jpg", [SEA]))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(os, "fsync", killed)
        run(few, ("a.jpg", [KITTEN]))
    undo(few)
    assert contents(few) == {"a.jpg.xmp": own("holiday")}


def killed(descriptor: int) -> None:
    raise KeyboardInterrupt


def test_what_cannot_be_parsed_is_named_without_a_catalogue_too(few: Path) -> None:
    (few / "broken.xmp").write_bytes(xmp.with_labels(None, [["sea"]])[0] + b"trailing")
    (few / "theirs.xmp").write_bytes(b"not XML")
    done = remove_sidecars(few)
    assert list(done.failures) == ["broken.xmp"] and "it is not XMP" in done.failures["broken.xmp"]


def test_attributes_that_others_gave_a_file_stay(few: Path) -> None:
    file = few / "a.jpg.xmp"
    file.write_bytes(own("holiday"))
    try:
        os.setxattr(file, "user.xdg.tags", b"mine")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    run(few, ("a.jpg", [SEA]))
    assert os.getxattr(file, "user.xdg.tags") == b"mine"
