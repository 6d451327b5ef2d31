"""Data sets, by name or by folder."""

from __future__ import annotations

from pathlib import Path

from zerotag.datasets.folder import read_folder
from zerotag.datasets.pictures import TEST, TRAIN, PictureDataset, SceneObject
from zerotag.datasets.pocket import BUILDERS
from zerotag.errors import ZerotagError
from zerotag.storage import cache_folder

__all__ = ["TEST", "TRAIN", "PictureDataset", "SceneObject", "dataset_folder", "load_dataset"]


def dataset_folder(name: str) -> Path:
    """Where a pocket data set lies unless it was built elsewhere."""
    return cache_folder() / "datasets" / name


def load_dataset(data: str) -> PictureDataset:
    """A pocket data set by name, or a folder of pictures with its table of labels.

    Raises:
        ZerotagError: the pocket data set was not built yet, or the folder cannot be read.
    """
    if data not in BUILDERS:
        if not Path(data).exists():
            raise ZerotagError(
                f"there is no data set '{data}': it is neither a folder nor one of {', '.join(BUILDERS)}"
            )
        return read_folder(Path(data))
    root = dataset_folder(data)
    if not (root / "dataset.json").exists():
        raise ZerotagError(f"{data} was not built yet; run: zerotag data build {data}")
    return read_folder(root)
