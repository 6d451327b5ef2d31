"""Feature maps in TFRecord files, as the code of LESA writes them for NUS-WIDE.

A record holds ``img_id``, ``feature`` (196, 512) float32 of VGG19's last convolution, ``label_1k`` (1000,) float32 with
the 75 tags that are concepts at 0, ``label_81`` (81,) float32; labels are 1 and −1. A file whose name has "train" in it
holds training pictures, one with "test" test pictures. The lists of labels, ``TagList1k.txt`` and ``Concepts81.txt``,
lie in the same folder or up to two above it. Needs google-crc32c.

A compressed stream can only be read from its start, so it is unpacked once into the cache, in half precision: 201 kB a
picture.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from zerotag.datasets.pictures import PictureDataset, split_named
from zerotag.datasets.tfrecord import parse_example, records
from zerotag.errors import ZerotagError
from zerotag.nus_wide_lists import home_of_lists, label_lists, seen_tags
from zerotag.storage import cache_folder, full_disk_explained

CHANNELS, SIDE = 512, 14
LAYOUT = "the layout is described in docs/formats.md"
KEYS = ("img_id", "feature", "label_1k", "label_81")


def files_of(root: Path) -> list[Path]:
    """The TFRecord files of a folder; training comes first."""
    found = [file for file in root.iterdir() if ".tfrecord" in file.name] if root.is_dir() else []
    return sorted(found, key=lambda file: ("train" not in file.name.lower(), file.name))


def recognises(root: Path) -> bool:
    """Whether the folder holds TFRecord files."""
    return bool(files_of(root))


class UnpackedMaps:
    """Maps in the cache, memory-mapped: those of stride 16, and their maximum over two by two for stride 32."""

    def __init__(self, parts: dict[str, np.ndarray]) -> None:
        self.parts = parts
        self.channels = {16: CHANNELS, 32: CHANNELS}
        self._first = np.cumsum([0, *(len(part) for part in parts.values())])

    def batch(self, indices: np.ndarray) -> dict[int, torch.Tensor]:
        """Maps of some pictures by stride, each [b, c, h, w], in half precision."""
        found = np.empty((len(indices), CHANNELS, SIDE, SIDE), np.float16)
        of_part = np.searchsorted(self._first, indices, side="right") - 1
        for number, part in enumerate(self.parts.values()):
            chosen = of_part == number
            found[chosen] = part[indices[chosen] - self._first[number]]
        maps = torch.from_numpy(found)
        return {16: maps, 32: F.max_pool2d(maps.float(), 2).half()}

    def record(self) -> dict[str, Any]:
        """What the maps are, as plain data."""
        return {
            "name": "maps in TFRecord files",
            "pictures": {file: len(part) for file, part in self.parts.items()},
            "channels": {str(stride): number for stride, number in self.channels.items()},
        }


def read(root: Path) -> PictureDataset:
    """Read the layout; the first time its files are unpacked into the cache.

    Raises:
        MissingPackageError: google-crc32c is not installed.
        ZerotagError: a file is cut off, damaged or of another layout, the lists of labels are not there, or the disk is
            full.
    """
    tags, concepts = label_lists(home_of_lists(root))
    seen = seen_tags(tags, concepts)
    columns = [tags.index(tag) for tag in seen]
    parts, names, splits, annotations = {}, [], [], []
    for file in files_of(root):
        folder = _unpacked(file, len(tags), len(concepts))
        listed = json.loads((folder / "names.json").read_text())
        labels = np.load(folder / "labels.npy")
        names += listed
        splits += [split_named(file)] * len(listed)
        annotations.append(np.concatenate([labels[:, columns], labels[:, len(tags) :]], 1))
        parts[file.name] = np.load(folder / "maps.npy", mmap_mode="r")
    return PictureDataset(
        root,
        tuple(names),
        tuple(splits),
        (*seen, *concepts),
        np.concatenate(annotations),
        unseen=tuple(concepts),
        maps=UnpackedMaps(parts),
    )


def _unpacked(file: Path, num_tags: int, num_concepts: int) -> Path:
    """The folder in the cache with a file's maps, labels and names; written whole or not at all."""
    state = file.stat()
    identity = f"{file.resolve()} {state.st_size} {state.st_mtime_ns} {num_tags} {num_concepts}"
    folder = (
        cache_folder() / "unpacked" / f"{file.name.split('.')[0]}-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    )
    if folder.exists():
        return folder
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    names, labels = [], []
    with full_disk_explained(partial):
        with (partial / "maps").open("wb") as raw:
            for number, record in enumerate(records(file), start=1):
                name, feature, label = _example(file, number, record, num_tags, num_concepts)
                raw.write(feature.astype(np.float16).tobytes())
                names.append(name)
                labels.append(label)
        if not names:
            raise ZerotagError(f"{file} holds no records; {LAYOUT}")
        _with_header(partial / "maps", partial / "maps.npy", (len(names), CHANNELS, SIDE, SIDE))
        np.save(partial / "labels.npy", np.stack(labels))
        (partial / "names.json").write_text(json.dumps(names))
    partial.rename(folder)
    return folder


def _with_header(raw: Path, file: Path, shape: tuple[int, ...]) -> None:
    """Numbers in half precision as a NumPy file."""
    with raw.open("rb") as numbers, file.open("wb") as whole:
        np.lib.format.write_array_header_1_0(whole, {"descr": "<f2", "fortran_order": False, "shape": shape})
        shutil.copyfileobj(numbers, whole)
    raw.unlink()


def _example(
    file: Path, number: int, record: bytes, num_tags: int, num_concepts: int
) -> tuple[str, np.ndarray, np.ndarray]:
    try:
        found = parse_example(record)
        missing = [key for key in KEYS if key not in found]
    except ValueError as error:
        raise ZerotagError(f"{file}, record {number} is no tf.train.Example ({error}); {LAYOUT}") from error
    if missing:
        raise ZerotagError(f"{file}, record {number} has no '{missing[0]}', but {', '.join(found)}; {LAYOUT}")
    sizes = {"feature": CHANNELS * SIDE**2, "label_1k": num_tags, "label_81": num_concepts}
    for key, size in sizes.items():
        if len(found[key]) != 4 * size:
            raise ZerotagError(
                f"{file}, record {number}: '{key}' has {len(found[key]) / 4:g} numbers, not {size}; {LAYOUT}"
            )
    values = {key: np.frombuffer(found[key], "<f4") for key in sizes}
    labels = np.concatenate([values["label_1k"], values["label_81"]])
    if wrong := sorted(set(np.unique(labels).tolist()) - {-1.0, 0.0, 1.0}):
        raise ZerotagError(f"{file}, record {number}: a label is {wrong[0]:g}; 1, 0 and -1 were expected; {LAYOUT}")
    feature = values["feature"].reshape(SIDE, SIDE, CHANNELS).transpose(2, 0, 1)
    return found["img_id"].decode("utf-8", "replace"), feature, labels.astype(np.int8)
