"""What is found in a folder, what is passed over and said, and what cannot be listed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zerotag.errors import ZerotagError
from zerotag.tagging.scan import SYSTEM_FOLDERS, Scan, in_system_folder, in_words, scan, stamp_of, suffix_of

LOCKED = """
import sys
from pathlib import Path
from zerotag.tagging.scan import scan
print(scan(Path(sys.argv[1])).unlisted)
"""


def filled(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def paths(found: Scan) -> list[str]:
    return [file.path for file in found.files]


def test_what_is_passed_over_is_counted_by_kind(tmp_path: Path) -> None:
    names = ["a.JPG", "b.cr2", "c.CR2", "d.mp4", "e", "sub/f.jp2", "g.tar.a long sentence", "a.JPG.xmp", "Thumbs.db"]
    found = scan(filled(tmp_path, *names, ".DS_Store", "._a.jpg", "@eaDir/x.cr2", "z.zerotag-wal"))
    assert paths(found) == ["a.JPG"]
    assert found.passed_over == {".cr2": 2, ".mp4": 1, "": 2, ".jp2": 1}
    words = "6 other files passed over: 2 without suffix, 2 .cr2, 1 .jp2, 1 .mp4"
    assert in_words(found.passed_over) == words
    assert in_words({".mp4": 1}) == "1 other file passed over: 1 .mp4"
    assert in_words({f".{kind}": 1 for kind in "abcdefghijk"}).endswith("1 .h, 3 of 3 other kinds")


def test_blanks_and_dots_behind_a_suffix_hide_no_picture(tmp_path: Path) -> None:
    assert paths(scan(filled(tmp_path, "e.jpg ", "f.png.", "g.jpg\n"))) == ["e.jpg ", "f.png.", "g.jpg\n"]
    assert suffix_of("archive.tar.GZ") == ".gz" and suffix_of("Dr. Smith, Rome") == "" and suffix_of("...") == ""


@pytest.mark.parametrize("system", ["@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX", "LOST+FOUND", ".Trash-1000"])
def test_folders_of_systems_are_passed_over_at_any_depth(system: str, tmp_path: Path) -> None:
    names = ["a.jpg", f"{system}/b.jpg", f"trips/2019/{system}/a.jpg/SYNOPHOTO_THUMB_XL.jpg"]
    assert paths(scan(filled(tmp_path, *names))) == ["a.jpg"]


def test_the_list_of_systems_folders_is_in_lower_case_and_asked_for_whole_names() -> None:
    assert all(name == name.lower() for name in SYSTEM_FOLDERS)
    assert in_system_folder("trips/@EADIR/a.jpg") and not in_system_folder("my @eadir/a.jpg")
    assert not in_system_folder("trips/lost+found")  # a file of that name is no folder


def test_a_system_folder_that_is_named_itself_is_listed(tmp_path: Path) -> None:
    assert paths(scan(filled(tmp_path / "#recycle", "a.jpg"))) == ["a.jpg"]


NAMES = ["top/a.jpg", "b/top/c.jpg", "trips/d.jpg", "trips/x/e_thumb.jpg", "f_thumb.jpg", "#recycled/g.jpg", "写/h.jpg"]
PATTERNS = {
    "*_thumb.jpg": {"trips/x/e_thumb.jpg", "f_thumb.jpg"},
    "trips/*": {"trips/d.jpg", "trips/x/e_thumb.jpg"},
    "top/": {"top/a.jpg", "b/top/c.jpg"},
    "/top": {"top/a.jpg"},
    "#recycled/": {"#recycled/g.jpg"},
    "写/": {"写/h.jpg"},
    "**/x/**": {"trips/x/e_thumb.jpg"},
    "[df]*.jpg": {"trips/d.jpg", "f_thumb.jpg"},
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_are_those_of_gitignore(pattern: str, tmp_path: Path) -> None:
    filled(tmp_path, *NAMES)
    assert set(paths(scan(tmp_path, exclude=[pattern]))) == {*NAMES} - PATTERNS[pattern]
    assert set(paths(scan(tmp_path, include=[pattern]))) == PATTERNS[pattern]


def test_a_pattern_can_take_back_what_an_earlier_one_took(tmp_path: Path) -> None:
    filled(tmp_path, *NAMES)
    assert set(paths(scan(tmp_path, exclude=["*.jpg", "!a.jpg"]))) == {"top/a.jpg"}
    assert set(paths(scan(tmp_path, exclude=["/*/", "!/trips/"]))) == {
        "trips/d.jpg",
        "trips/x/e_thumb.jpg",
        "f_thumb.jpg",
    }
    assert scan(tmp_path, include=["*.jpg", "!trips/"], exclude=["*_thumb.jpg"]).passed_over == {}


@pytest.mark.parametrize("pattern", ["!", "", "  ", "/", "[a", "[z-a]", "a\\"])
def test_a_wrong_pattern_is_one_sentence(pattern: str, tmp_path: Path) -> None:
    with pytest.raises(ZerotagError, match=r"--exclude '.*' is not a pattern; write one as in \.gitignore"):
        scan(filled(tmp_path, "a.jpg"), exclude=["*.png", pattern])


def test_a_folder_below_a_path_that_is_too_long_is_named(tmp_path: Path) -> None:
    filled(tmp_path, "a.jpg")
    here = os.open(".", os.O_RDONLY)
    try:
        os.chdir(tmp_path)
        for _ in range(20):
            Path("d" * 250).mkdir()
            os.chdir("d" * 250)
        Path("lost.jpg").touch()
        found = scan(tmp_path)
    finally:
        os.fchdir(here)
        os.close(here)
        subprocess.run(["rm", "-rf", *tmp_path.glob("ddd*")], check=True)  # shutil.rmtree finds it too long as well
    assert paths(found) == ["a.jpg"]
    ((place, reason),) = found.unlisted.items()
    assert place.startswith("ddd") and reason == "File name too long"


def test_a_folder_that_may_not_be_listed_is_named(tmp_path: Path) -> None:
    filled(tmp_path, "a.jpg", "locked/b.jpg")
    (tmp_path / "locked").chmod(0)
    # who is root passes over the mode of a folder; a process without these rights does not
    rights = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    listed = subprocess.run(
        [*rights, sys.executable, "-c", LOCKED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert listed.stdout == "{'locked': 'Permission denied'}\n"


def test_empty_folders_are_told_from_those_with_other_content(tmp_path: Path) -> None:
    filled(tmp_path, "a.jpg", "notes/b.txt", "deep/deeper/c.jpg")
    (tmp_path / "drive").mkdir()
    assert scan(tmp_path).empty == {"drive"}


def test_names_that_differ_in_case_or_in_unicode_form_are_two_pictures(tmp_path: Path) -> None:
    names = ["caf\u00e9.jpg", "cafe\u0301.jpg", "A.jpg", "a.jpg"]
    assert sorted(paths(scan(filled(tmp_path, *names)))) == sorted(names)


@pytest.mark.parametrize("seconds", [9_300_000_000, 10_413_792_000, 0])
def test_times_are_kept_within_what_a_catalogue_can_keep(seconds: int, tmp_path: Path) -> None:
    file = filled(tmp_path, "a.jpg") / "a.jpg"
    os.utime(file, ns=(seconds * 10**9,) * 2)
    assert stamp_of(file) == (0, min(seconds * 10**9, 2**63 - 1))
    assert stamp_of(tmp_path / "none") == (0, 0)
