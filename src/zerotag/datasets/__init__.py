"""Data sets, by name or by folder."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from zerotag.datasets import (
    coco,
    hdf5,
    lesa_records,
    ml2p,
    ml_decoder,
    nus_wide,
    open_images,
    open_images_hdf5,
    open_images_records,
)
from zerotag.datasets.folder import read_folder
from zerotag.datasets.pictures import TEST, TRAIN, PictureDataset, SceneObject, StoredMaps
from zerotag.datasets.pocket import BUILDERS
from zerotag.datasets.unread import note_on_unread
from zerotag.errors import ZerotagError
from zerotag.storage import cache_folder

__all__ = [
    "TEST",
    "TRAIN",
    "PictureDataset",
    "SceneObject",
    "StoredMaps",
    "dataset_folder",
    "layout_of",
    "load_dataset",
]


# looked at in this order; a folder that none of them recognises is one of pictures with a table of labels
LAYOUTS = {
    "nus-wide": nus_wide,
    "hdf5": hdf5,
    "tfrecord": lesa_records,
    "ml2p": ml2p,
    "ml-decoder": ml_decoder,
    "coco": coco,
    "open-images-hdf5": open_images_hdf5,
    "open-images-tfrecord": open_images_records,
    "open-images": open_images,
}


def layout_of(root: Path) -> str:
    """Which of the layouts that people have a folder is in; "folder" where it is none of them."""
    return next((name for name, layout in LAYOUTS.items() if layout.recognises(root)), "folder")


def dataset_folder(name: str) -> Path:
    """Where a pocket data set lies unless it was built elsewhere."""
    return cache_folder() / "datasets" / name


def load_dataset(data: str) -> PictureDataset:
    """A pocket data set by name, or a folder in any layout.

    Raises:
        ZerotagError: the pocket data set was not built yet, or the folder cannot be read.
    """
    if data not in BUILDERS:
        if not Path(data).exists():
            raise ZerotagError(
                f"there is no data set '{data}': it is neither a folder nor one of {', '.join(BUILDERS)}"
            )
        root = Path(data)
        layout = layout_of(root)
        dataset = LAYOUTS[layout].read(root) if layout in LAYOUTS else read_folder(root)
        return replace(dataset, notes=(*dataset.notes, *note_on_unread(root, layout)))
    finished = dataset_folder(data) / "dataset.json"
    if not finished.exists():
        raise ZerotagError(f"{data} was not built yet; run: zerotag data build {data}")
    return _read_pocket(finished.parent, finished.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _read_pocket(root: Path, finished_ns: int) -> PictureDataset:
    """What was built at that time: it does not change, so a process reads it once."""
    return read_folder(root)
