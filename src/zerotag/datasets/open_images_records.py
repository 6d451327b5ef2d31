"""Feature maps of Open Images v4 in TFRecord files, as the code of LESA writes them.

A record holds ``img_id``, ``feature`` (196, 512) float32 and labels as int32: ``label`` for the 7,186 seen ones, or
``seen_label``, and ``unseen_label`` for the 2,594 candidates, of which the 400 unseen ones are taken; 1 and −1, and 0
where nothing is known. A file whose name has "train" in it holds training pictures, one with "test" test pictures; they
lie in the folder or in ``TFRecords``. The lists of labels are those of :mod:`zerotag.datasets.open_images`, in the
folder or its sub-folder ``2018_04``. Needs google-crc32c.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.sparse import csr_array, hstack, vstack

from zerotag.datasets import open_images
from zerotag.datasets.pictures import PictureDataset, split_named
from zerotag.datasets.sparse import SparseAnnotations
from zerotag.datasets.unpacked import Labels, Unpacked, UnpackedMaps, files_of, unpack


def recognises(root: Path) -> bool:
    """Whether the folder holds such files, and the lists of labels."""
    return open_images.recognises(root) and bool(_files(root))


def read(root: Path) -> PictureDataset:
    """Read the layout; the first time its files are unpacked into the cache.

    Raises:
        MissingPackageError: google-crc32c is not installed.
        ZerotagError: a file is cut off, damaged or of another layout, the lists of labels are not there, or the disk is
            full.
    """
    home = open_images.home_of(root)
    seen, unseen = open_images.label_identifiers(home)
    chosen, candidates = open_images.chosen_candidates(home), open_images.number_of_candidates(home)
    names = open_images.label_names(home, [*seen, *unseen])
    forms = [
        Labels({"seen_label": len(seen), "unseen_label": candidates}, "<i4"),
        Labels({"label": len(seen)}, "<i4"),
    ]
    contents = {file: unpack(file, forms) for file in _files(root)}
    known = vstack([_columns(content, len(seen), chosen) for content in contents.values()]).tocoo()
    return PictureDataset(
        root,
        tuple(name for content in contents.values() for name in content.names),
        tuple(split_named(file) for file, content in contents.items() for _ in content.names),
        tuple(names),
        SparseAnnotations(known.row, known.col, known.data, known.shape),
        unseen=tuple(names[len(seen) :]),
        maps=UnpackedMaps({file.name: content.maps for file, content in contents.items()}),
    )


def _files(root: Path) -> list[Path]:
    return files_of(root) or files_of(root / "TFRecords")


def _columns(content: Unpacked, num_seen: int, chosen: np.ndarray) -> csr_array:
    """Seen labels, then unseen ones, of which nothing is known where the file has none."""
    labels = content.labels.tocsc()
    if labels.shape[1] == num_seen:
        return csr_array(hstack([labels, csr_array((labels.shape[0], len(chosen)), dtype=np.int8)]))
    return labels[:, np.concatenate([np.arange(num_seen), num_seen + chosen])].tocsr()
