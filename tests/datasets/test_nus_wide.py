"""NUS-WIDE as it was given out: what is wrong with a copy is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zerotag.datasets import fake_nus_wide, load_dataset, nus_wide
from zerotag.datasets.check import check
from zerotag.errors import ZerotagError


def test_pictures_that_are_none_are_left_out_and_counted(small: Callable[[str], Path]) -> None:
    root = small("raw")
    pictures = sorted((root / "Flickr").rglob("*.jpg"))
    pictures[0].unlink()
    pictures[1].write_bytes(b"x" * 4000)
    found = check(str(root))
    assert sum(split.num_images for split in found.splits.values()) == 10
    assert found.left_out == {"not there": 1, "4000 bytes are too few for a picture": 1}


def test_the_notice_for_deleted_pictures_is_known_by_its_copies(tmp_path: Path, cache: Path) -> None:
    root = tmp_path / "fake"
    fake_nus_wide.make(root, "raw", num_images=60, num_seen=5, num_unseen=3)
    pictures = sorted((root / "Flickr").rglob("*.jpg"))
    for picture in pictures[:25]:
        picture.write_bytes(pictures[0].read_bytes())
    (reason,) = check(str(root)).left_out
    assert "stands for a deleted picture" in reason
    assert len(load_dataset(str(root)).paths) == 35


def test_broken_pictures_are_named_where_all_are_opened(small: Callable[[str], Path]) -> None:
    root = small("raw")
    picture = min((root / "Flickr").rglob("*.jpg"))
    picture.write_bytes(picture.read_bytes()[:5000])
    assert check(str(root)).broken == {}
    (path,) = check(str(root), open_pictures=True).broken
    assert root / "Flickr" / path == picture


def lines(root: Path, name: str, change: Callable[[list[str]], list[str]]) -> None:
    file = root / name
    file.write_text("".join(change(file.read_text().splitlines(keepends=True))))


TABLE, LIST = "NUS_WID_Tags/AllTags1k.txt", "ImageList/Imagelist.txt"


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda root: (root / TABLE).unlink(), "AllTags1k.txt is not there"),
        (lambda root: lines(root, LIST, lambda of: ["..\\a.jpg\n", *of[1:]]), "leads out of the folder of pictures"),
        (lambda root: (root / LIST).write_bytes(b"caf\xe9.jpg\n"), "no UTF-8 text"),
        (
            lambda root: [picture.unlink() for picture in (root / "Flickr").rglob("*.jpg")],
            r"none of the 12 pictures listed, such as .*/Flickr/.*\.jpg",
        ),
        (lambda root: (root / "AllLabels" / "Labels_concept01.txt").unlink(), "Labels_concept01.txt is not there"),
        (lambda root: (root / "ConceptsList/Concepts81.txt").unlink(), "Concepts81.txt is not there"),
        (lambda root: lines(root, TABLE, lambda of: of[:-1]), "has 11 lines, but 12 pictures are listed"),
        (lambda root: lines(root, TABLE, lambda of: [*of, of[0]]), "more than 12 lines"),
        (lambda root: lines(root, TABLE, lambda of: [*of[:3], "0\t1\t\n", *of[4:]]), "line 4 has 2 numbers, not 7"),
        (lambda root: lines(root, TABLE, lambda of: [of[0].replace("0", "2", 1), *of[1:]]), "other signs than 0, 1"),
        (lambda root: lines(root, LIST, lambda of: [of[0], *of]), "lists 1 pictures more than once"),
        (lambda root: lines(root, LIST, lambda of: of[1:]), "1 pictures that Imagelist.txt lacks"),
        (lambda root: (root / LIST).unlink(), "Imagelist.txt cannot be read"),
        (
            lambda root: (root / "ImageList/TestImagelist.txt").write_text((root / LIST).read_text()),
            "both for training and for testing",
        ),
        (lambda root: [file.unlink() for file in (root / "Flickr").rglob("*.jpg")], "none of the 12 pictures"),
    ],
)
def test_what_is_wrong_with_a_copy_is_named(
    small: Callable[[str], Path], harm: Callable[[Path], Any], message: str
) -> None:
    root = small("raw")
    harm(root)
    with pytest.raises(ZerotagError, match=message):
        load_dataset(str(root))


def test_copies_differ_in_their_separators(small: Callable[[str], Path]) -> None:
    root = small("raw")
    expected = load_dataset(str(root))
    for name, old, new in ((TABLE, "\t", " "), (LIST, "\\", "/")):
        (root / name).write_text((root / name).read_text().replace(old, new))
    (root / "ConceptsList" / "Concepts81.txt").rename(root / "Concepts81.txt")
    for picture in sorted((root / "Flickr").rglob("*.jpg")):
        picture.rename(picture.with_suffix(".JPG"))
    found = load_dataset(str(root))
    assert found.paths == tuple(path.replace(".jpg", ".JPG") for path in expected.paths)
    np.testing.assert_array_equal(found.annotations, expected.annotations)


@pytest.mark.parametrize("block", [1, 7, 64])
def test_tables_are_read_in_blocks(small: Callable[[str], Path], block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    root = small("raw")
    whole = nus_wide.read_table(root / TABLE, 12, 7)
    monkeypatch.setattr(nus_wide, "BLOCK_BYTES", block)
    np.testing.assert_array_equal(nus_wide.read_table(root / TABLE, 12, 7), whole)
