"""Feature maps in TFRecord files, as the code of LESA writes them for NUS-WIDE.

A record holds ``img_id``, ``feature`` (196, 512) float32 of VGG19's last convolution, ``label_1k`` (1000,) float32 with
the 75 tags that are concepts at 0, ``label_81`` (81,) float32; labels are 1 and −1. A file whose name has "train" in it
holds training pictures, one with "test" test pictures. The lists of labels, ``TagList1k.txt`` and ``Concepts81.txt``,
lie in the same folder or up to two above it. Needs google-crc32c.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zerotag.datasets import open_images
from zerotag.datasets.coco_files import has_tables
from zerotag.datasets.pictures import PictureDataset, split_named
from zerotag.datasets.unpacked import Labels, UnpackedMaps, files_of, unpack
from zerotag.nus_wide_lists import home_of_lists, label_lists, seen_tags


def recognises(root: Path) -> bool:
    """Whether the folder holds TFRecord files, and neither tables of labels nor the lists of Open Images."""
    return bool(files_of(root)) and not has_tables(root) and not open_images.recognises(root)


def read(root: Path) -> PictureDataset:
    """Read the layout; the first time its files are unpacked into the cache.

    Raises:
        MissingPackageError: google-crc32c is not installed.
        ZerotagError: a file is cut off, damaged or of another layout, the lists of labels are not there, or the disk is
            full.
    """
    tags, concepts = label_lists(home_of_lists(root))
    seen = seen_tags(tags, concepts)
    number_of = {tag: number for number, tag in enumerate(tags)}
    columns = [*(number_of[tag] for tag in seen), *range(len(tags), len(tags) + len(concepts))]
    form = Labels({"label_1k": len(tags), "label_81": len(concepts)}, "<f4")
    contents = {file: unpack(file, [form]) for file in files_of(root)}
    return PictureDataset(
        root,
        tuple(name for content in contents.values() for name in content.names),
        tuple(split_named(file) for file, content in contents.items() for _ in content.names),
        (*seen, *concepts),
        np.concatenate([content.labels.toarray()[:, columns] for content in contents.values()]),
        unseen=tuple(concepts),
        maps=UnpackedMaps({file.name: content.maps for file, content in contents.items()}),
    )
