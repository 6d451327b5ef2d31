"""Tables that lie in a data set's folder and are not read."""

from __future__ import annotations

from pathlib import Path

from zerotag.datasets import coco_files, hdf5, unpacked
from zerotag.datasets.label_table import tables_of
from zerotag.errors import first_few


def note_on_unread(root: Path, layout: str) -> list[str]:
    """A sentence that names the tables of other layouts than the one that is read; none where there are none.

    Args:
        root: Path of the data set.
        layout: Name of the layout that is read.
    """
    others = [] if layout == "folder" else tables_of(root)
    if layout in ("folder", "coco"):
        image_lists = [root / "ImageList"] if (root / "ImageList").is_dir() else []
        others += [*hdf5.files_of(root), *unpacked.files_of(root), *image_lists]
    read = coco_files.files_of(root) if layout == "coco" else []
    others += [file for file in coco_files.every_file(root) if file not in read]
    names = [file.relative_to(root).as_posix() for file in others]
    return [f"not read, since the folder is taken for the layout '{layout}': {first_few(names)}"] if names else []
