"""Feature maps that a data set brings along, kept in half precision: half the disk, rows at the speed of the disk."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from zerotag.checked_arrays import add_sums, lay_out
from zerotag.datasets import PictureDataset, StoredMaps
from zerotag.errors import UnwritableError, ZerotagError
from zerotag.locks import alone
from zerotag.maps_on_disk import INDEX, MapsOnDisk, begin, file_of, read_index, unless_made_anew
from zerotag.prefetch import prefetched
from zerotag.progress import Progress, silent
from zerotag.storage import NAME_KEPT, cache_folder, full_disk_explained, write_atomically

BATCH_SIZE = 64


class KeptMaps(MapsOnDisk):
    """Maps that a data set brought along.

    Attributes:
        channels: number of channels by stride.
    """

    def __init__(self, folder: Path, dataset: PictureDataset) -> None:
        assert dataset.maps is not None
        cure = f"delete the folder {folder}, and run: zerotag features {dataset.root}"
        super().__init__(folder, dataset.paths, dataset.maps.channels, cure)
        self.channels, self._stored = dataset.maps.channels, dataset.maps

    def record(self) -> dict[str, Any]:
        """What the maps are: those of the data set."""
        return self._stored.record()


def kept_maps(dataset: PictureDataset) -> KeptMaps | None:
    """The maps in the cache, where they were kept and the data set has not changed."""
    assert dataset.maps is not None
    folder = _folder(dataset, dataset.maps)
    if read_index(folder) is None:
        return None
    return unless_made_anew(folder, lambda: KeptMaps(folder, dataset))


def keep_maps(dataset: PictureDataset, *, progress: Progress = silent) -> KeptMaps:
    """Copy the maps of all pictures to the cache, where they are not there yet or damaged.

    Of several processes one copies, and the others wait until it has ended.

    Disk: 251 kB a picture for maps of 512 channels on a grid of 14 by 14. Memory: a few batches of 64 pictures.

    Raises:
        ZerotagError: the data set has pictures and no maps, a number does not fit into half precision, or the disk is
            full.
    """
    if dataset.maps is None:
        raise ZerotagError(f"{dataset.root} holds pictures; their maps are made by a backbone")
    folder = _folder(dataset, dataset.maps)
    try:
        with alone(folder):
            if not _is_whole(folder, dataset, progress):
                _keep(dataset, dataset.maps, folder, progress)
            return KeptMaps(folder, dataset)
    except UnwritableError:
        if (kept := kept_maps(dataset)) is None:
            raise
        return kept


def _is_whole(folder: Path, dataset: PictureDataset, progress: Progress) -> bool:
    """Whether all maps are there and have the content that was written."""
    if read_index(folder) is None:
        return False
    try:
        kept = KeptMaps(folder, dataset)
        for stride in kept.channels:
            add_sums(file_of(folder, stride))
        for number, maps in enumerate(KeptMaps(folder, dataset).maps.values(), start=1):
            maps.check()
            progress("Checking feature maps", number, len(kept.maps))
    except UnwritableError:
        raise
    except ZerotagError:
        return False
    return True


def _keep(dataset: PictureDataset, stored: StoredMaps, folder: Path, progress: Progress) -> None:
    begin(folder)
    try:
        _copy(dataset, stored, folder, progress)
        write_atomically(folder / INDEX, json.dumps(stored.record()))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _copy(dataset: PictureDataset, stored: StoredMaps, folder: Path, progress: Progress) -> None:
    number = len(dataset.paths)
    batches = [np.arange(start, min(start + BATCH_SIZE, number)) for start in range(0, number, BATCH_SIZE)]
    shapes = {stride: one.shape[1:] for stride, one in stored.batch(batches[0][:1]).items()}
    files = {s: lay_out(file_of(folder, s), np.float16, (number, *shapes[s])) for s in shapes}
    for rows, maps in prefetched(stored.batch, batches):
        for stride, one in maps.items():
            half = one.half().numpy()
            if not np.isfinite(half).all():
                raise ZerotagError(
                    f"{dataset.root}: among '{dataset.paths[rows[0]]}' and the {len(rows) - 1} pictures after it a "
                    "feature is too large for half precision, or no number"
                )
            files[stride].write(rows, half)
        progress("Keeping feature maps", int(rows[-1]) + 1, number)
    with full_disk_explained(folder):
        for file in files.values():
            file.flush()


def _folder(dataset: PictureDataset, stored: StoredMaps) -> Path:
    identity = json.dumps([str(dataset.root.resolve()), len(dataset.paths), stored.record()], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return cache_folder() / "features" / f"{dataset.root.name[:NAME_KEPT]}-stored-{digest}"
