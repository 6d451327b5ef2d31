"""NUS-WIDE as its authors gave it out: lists of images, a table of 1,000 tags, 81 files of concepts, pictures.

Layout, below the folder that is named: ``ImageList/Imagelist.txt`` with ``TrainImagelist.txt`` and
``TestImagelist.txt`` beside it; ``NUS_WID_Tags/TagList1k.txt`` and ``AllTags1k.txt``; ``ConceptsList/Concepts81.txt``
(or ``Concepts81.txt``); ``AllLabels/Labels_<concept>.txt``; the pictures in ``Flickr``. Chua et al., CIVR 2009.

Seen labels are the tags that are no concept (925), unseen ones the concepts (81). Pictures that are missing, hold no
more than 4,000 bytes, or are the notice that stands for a deleted picture, are left out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
from jaxtyping import Int8

from zerotag.datasets.coco_files import has_tables
from zerotag.datasets.pictures import TEST, TRAIN, PictureDataset, leaves_folder
from zerotag.errors import ZerotagError, first_few
from zerotag.labels import lines_of, read_text
from zerotag.nus_wide_lists import label_lists, seen_tags

LAYOUT = "the layout is described in docs/formats.md"
LIST = "ImageList/Imagelist.txt"
SMALLEST_PICTURE_BYTES = 4001
COPIES_OF_A_NOTICE = 20
BLOCK_BYTES = 2**24
TAB, NEWLINE, RETURN, SPACE, ZERO, ONE = b"\t\n\r 01"


def recognises(root: Path) -> bool:
    """Whether the folder has the lists of images; beside a table of labels the list must have its name."""
    return (root / LIST).is_file() or ((root / LIST).parent.is_dir() and not has_tables(root))


def read(root: Path) -> PictureDataset:
    """Read the layout.

    Raises:
        ZerotagError: a file is missing, or is of another shape than the others say.
    """
    tags, concepts = label_lists(root)
    files = image_list(root / LIST)
    splits = _splits(root, files)
    table = read_table(_needed(root, "NUS_WID_Tags/AllTags1k.txt"), len(files), len(tags))
    human = [read_table(_needed(root, f"AllLabels/Labels_{concept}.txt"), len(files), 1) for concept in concepts]
    seen = seen_tags(tags, concepts)
    column = {tag: c for c, tag in enumerate(tags)}
    annotations = np.concatenate([table[:, [column[tag] for tag in seen]], *human], axis=1)
    files = _as_on_disk(root / "Flickr", files)
    left_out = _left_out(root / "Flickr", files)
    kept = [i for i, file in enumerate(files) if file not in left_out and splits[i]]
    if not kept:
        looked_for = root / "Flickr" / next(iter(files), "")
        raise ZerotagError(
            f"{root / 'Flickr'} holds none of the {len(files)} pictures listed, such as {looked_for}; {LAYOUT}"
        )
    return PictureDataset(
        root / "Flickr",
        tuple(files[i] for i in kept),
        tuple(splits[i] for i in kept),
        (*seen, *concepts),
        annotations[kept],
        unseen=tuple(concepts),
        left_out=left_out,
    )


def image_list(file: Path) -> list[str]:
    r"""Paths of a list, such as ``actor\0001_2124494179.jpg``, with slashes.

    Raises:
        ZerotagError: no such file, a picture that comes twice, or a path that leads out of the folder.
    """
    lines = lines_of(read_text(file))
    files = [line.strip().replace("\\", "/").removeprefix("./") for line in lines if line.strip()]
    if leaving := [name for name in files if leaves_folder(name) or name.startswith("/")]:
        raise ZerotagError(f"{file}: '{leaving[0]}' leads out of the folder of pictures; {LAYOUT}")
    if twice := [name for name, count in Counter(files).items() if count > 1]:
        raise ZerotagError(f"{file} lists {len(twice)} pictures more than once: {first_few(twice)}")
    return files


def read_table(file: Path, num_rows: int, num_columns: int) -> Int8[np.ndarray, "n c"]:
    """A table of 0 and 1, a line a picture, between tabs or spaces: 1 positive, −1 negative. Read in blocks of 16 MB.

    Raises:
        ZerotagError: another number of lines or columns, or something else than 0 and 1.
    """
    table = np.empty(num_rows * num_columns, np.int8)
    filled, rest = 0, b""
    with file.open("rb") as opened:
        while True:
            block = opened.read(BLOCK_BYTES)
            whole, newline, after = (rest + block).rpartition(b"\n") if block else (rest, b"", b"")
            signs = np.frombuffer(whole + newline, np.uint8)
            rest = after
            is_digit = (signs == ZERO) | (signs == ONE)
            is_end = signs == NEWLINE
            if not (is_digit | is_end | (signs == TAB) | (signs == SPACE) | (signs == RETURN)).all():
                raise ZerotagError(f"{file} holds other signs than 0, 1 and what stands between them; {LAYOUT}")
            digits = signs[is_digit]
            at_end = np.cumsum(is_digit)[is_end] if is_end.any() else np.array([len(digits)])
            widths = np.diff(at_end, prepend=0)
            wrong = np.flatnonzero((widths != num_columns) & (widths != 0))
            if len(wrong):
                line = filled // num_columns + int(wrong[0]) + 1
                raise ZerotagError(f"{file}, line {line} has {widths[wrong[0]]} numbers, not {num_columns}; {LAYOUT}")
            if filled + len(digits) > len(table):
                raise ZerotagError(f"{file} has more than {num_rows} lines, the number of pictures listed; {LAYOUT}")
            table[filled : filled + len(digits)] = np.where(digits == ONE, 1, -1)
            filled += len(digits)
            if not block:
                break
    if filled != len(table):
        raise ZerotagError(
            f"{file} has {filled // num_columns} lines, but {num_rows} pictures are listed; it may have been cut off"
        )
    return table.reshape(num_rows, num_columns)


def _needed(root: Path, *places: str) -> Path:
    for place in places:
        if (root / place).is_file():
            return root / place
    raise ZerotagError(f"{root / places[0]} is not there; {LAYOUT}")


def _splits(root: Path, files: list[str]) -> list[str]:
    of_file: dict[str, str] = {}
    known = set(files)
    for split, name in ((TRAIN, "TrainImagelist.txt"), (TEST, "TestImagelist.txt")):
        listed = image_list(root / "ImageList" / name)
        if unknown := [file for file in listed if file not in known]:
            raise ZerotagError(f"{name} lists {len(unknown)} pictures that Imagelist.txt lacks: {first_few(unknown)}")
        if both := [file for file in listed if file in of_file]:
            raise ZerotagError(f"{len(both)} pictures are both for training and for testing: {first_few(both)}")
        of_file |= dict.fromkeys(listed, split)
    return [of_file.get(file, "") for file in files]


def _as_on_disk(folder: Path, files: list[str]) -> list[str]:
    """The same pictures by the names they have on disk, where a copy differs in upper and lower case alone."""
    if all((folder / file).is_file() for file in files[:COPIES_OF_A_NOTICE]):
        return files
    there = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    by_lower = {name.lower(): name for name in there}
    return [by_lower.get(file.lower(), file) for file in files]


def _left_out(folder: Path, files: list[str]) -> dict[str, str]:
    """Pictures that are not there, or no pictures, with the reason."""
    sizes, left_out = {}, {}
    for file in files:
        try:
            sizes[file] = (folder / file).stat().st_size
        except OSError:
            left_out[file] = "not there"
    left_out |= {
        file: f"{size} bytes are too few for a picture" for file, size in sizes.items() if size < SMALLEST_PICTURE_BYTES
    }
    same_size = Counter(size for file, size in sizes.items() if file not in left_out)
    suspects = [f for f in sizes if f not in left_out and same_size[sizes[f]] >= COPIES_OF_A_NOTICE]
    digests = {file: hashlib.blake2b((folder / file).read_bytes()).digest() for file in suspects}
    copies = Counter(digests.values())
    notice = "the same as many others: the notice that stands for a deleted picture"
    return left_out | {file: notice for file, digest in digests.items() if copies[digest] >= COPIES_OF_A_NOTICE}
