"""Small sets in the real layouts of NUS-WIDE and COCO, to see what a layout looks like, and for tests."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from zerotag.datasets.fake_set import SIDE_PX, FakeSet, draw
from zerotag.datasets.hdf5 import CHANNELS, CONCEPTS, FEATURES, LABELS
from zerotag.datasets.tfrecord import make_example, write_records
from zerotag.errors import MissingPackageError, UnknownNameError, ZerotagError
from zerotag.nus_wide_lists import CONCEPT_PLACES, TAG_PLACES

LAYOUTS = ("raw", "hdf5", "hdf5-table", "tfrecord", "ml2p", "ml-decoder", "coco")
WITHOUT_LISTS = ("ml-decoder", "coco")
TABLE_WIDTH = 4096


def make(folder: Path, layout: str, *, num_images: int, num_seen: int, num_unseen: int, seed: int = 0) -> None:
    """Write a fake set, and ``word_vectors.txt`` in the format of GloVe beside it.

    Args:
        folder: where it goes; it must not be there yet, or be empty.
        layout: one of :data:`LAYOUTS`.
        num_images: pictures of both splits.
        num_seen: seen labels.
        num_unseen: unseen labels.
        seed: the same seed gives the same set.

    Raises:
        ZerotagError: an unknown layout, a folder that holds something, or numbers too small for a data set.
        MissingPackageError: h5py or google-crc32c is not installed and the layout needs it.
    """
    writers = {
        "raw": _write_raw,
        "hdf5": _write_hdf5,
        "hdf5-table": _write_hdf5_table,
        "tfrecord": _write_tfrecord,
        "ml2p": _write_ml2p,
        "ml-decoder": _write_ml_decoder,
        "coco": _write_coco,
    }
    if layout not in writers:
        raise UnknownNameError("layout of nus-wide", layout, list(writers))
    empty_folder(folder, num_images, num_seen, num_unseen)
    fake = draw(num_images, num_seen, num_unseen, seed)
    write_word_vectors(folder, fake)
    if layout not in WITHOUT_LISTS:
        _write_lists(folder, fake)
    writers[layout](folder, fake)


def empty_folder(folder: Path, num_images: int, num_seen: int, num_unseen: int) -> None:
    """A folder for a fake set.

    Raises:
        ZerotagError: it holds something, or the numbers are too small for a data set.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ZerotagError(f"{folder} is not empty; name another folder")
    if num_images < 10 or num_seen < 2 or num_unseen < 1:
        raise ZerotagError("a fake set needs 10 images, 2 seen labels and an unseen one at least")
    folder.mkdir(parents=True, exist_ok=True)


def write_word_vectors(folder: Path, fake: FakeSet) -> None:
    """Vectors of a fake set's labels, in the format of GloVe."""
    rows = zip(fake.labels.all, fake.word_vectors(), strict=True)
    lines = [f"{label} {' '.join(f'{v:.5f}' for v in row)}\n" for label, row in rows]
    (folder / "word_vectors.txt").write_text("".join(lines))


def _write_lists(folder: Path, fake: FakeSet) -> None:
    for place, listed in ((TAG_PLACES[0], fake.tags()), (CONCEPT_PLACES[0], fake.labels.unseen)):
        (folder / place).parent.mkdir(exist_ok=True)
        (folder / place).write_text("".join(f"{label}\n" for label in listed))


def _write_raw(folder: Path, fake: FakeSet) -> None:
    for name in ("ImageList", "AllLabels"):
        (folder / name).mkdir()
    windows = [name.replace("/", "\\") for name in fake.names]
    for name, chosen in (
        ("Imagelist", np.ones(len(windows), bool)),
        ("TrainImagelist", ~fake.is_test),
        ("TestImagelist", fake.is_test),
    ):
        lines = [f"{windows[i]}\r\n" for i in np.flatnonzero(chosen)]
        (folder / "ImageList" / f"{name}.txt").write_text("".join(lines), newline="")
    hot = fake.annotations == 1
    columns = [fake.labels.all.index(tag) for tag in fake.tags()]
    table = ["\t".join(row) + "\t\n" for row in hot[:, columns].astype(int).astype(str)]
    (folder / "NUS_WID_Tags" / "AllTags1k.txt").write_text("".join(table))
    for c, concept in enumerate(fake.labels.unseen, start=len(fake.labels.seen)):
        lines = [f"{value}\n" for value in hot[:, c].astype(int)]
        (folder / "AllLabels" / f"Labels_{concept}.txt").write_text("".join(lines))
    _write_pictures(folder / "Flickr", fake)


def _write_pictures(folder: Path, fake: FakeSet) -> None:
    for index, name in enumerate(fake.names):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        fake.picture(index).save(file, quality=95)


def _files(folder: Path, fake: FakeSet) -> Iterator[tuple[Any, np.ndarray]]:
    """An open HDF5 file of each split, and the numbers of its pictures."""
    try:
        import h5py
    except ImportError as error:
        raise MissingPackageError("h5py", "formats", "writing HDF5 files") from error
    (folder / "features").mkdir()
    for split, chosen in (("train", ~fake.is_test), ("test", fake.is_test)):
        with h5py.File(folder / "features" / f"nus_wide_{split}.h5", "w") as opened:
            yield opened, np.flatnonzero(chosen)


def _write_hdf5(folder: Path, fake: FakeSet) -> None:
    number = len(fake.labels.seen)
    for split, (opened, rows) in zip(("train", "test"), _files(folder, fake), strict=True):
        for i in rows.tolist():
            name, annotated = fake.names[i].replace("/", "_"), fake.annotations[i]
            labels = annotated[:number] if split == "train" else annotated
            for suffix, data in (
                (FEATURES, fake.feature_map(i, CHANNELS)),
                (LABELS, labels),
                (CONCEPTS, annotated[number:]),
            ):
                opened.create_dataset(name + suffix, data=data, compression="gzip")
        names = {"img_names": [fake.names[i].replace("/", "_") for i in rows.tolist()]}
        (folder / f"{'' if split == 'train' else 'test_'}img_names.pkl").write_bytes(pickle.dumps(names))


def _write_hdf5_table(folder: Path, fake: FakeSet) -> None:
    number = len(fake.labels.seen)
    for split, (opened, rows) in zip(("train", "test"), _files(folder, fake), strict=True):
        features = np.stack([fake.feature_map(i, TABLE_WIDTH).max(1) for i in rows.tolist()])
        labels = fake.annotations[rows, :number] if split == "train" else fake.annotations[rows]
        names = np.array([fake.names[i].encode() for i in rows.tolist()])
        for key, data in (("image_files", names), ("features", features), ("labels", labels)):
            opened.create_dataset(key, data=data)


def _write_tfrecord(folder: Path, fake: FakeSet) -> None:
    tags = fake.tags()
    columns = [fake.labels.all.index(tag) for tag in tags]
    is_concept = np.isin(tags, fake.labels.unseen)

    def example(i: int) -> bytes:
        of_tags = np.where(is_concept, 0, fake.annotations[i, columns])
        content = {
            "img_id": f"./data/NUS_WIDE/Flickr/{fake.names[i]}".encode(),
            "feature": fake.feature_map(i, CHANNELS).T.tobytes(),
            "label_1k": of_tags.astype(np.float32).tobytes(),
            "label_81": fake.annotations[i, len(fake.labels.seen) :].astype(np.float32).tobytes(),
        }
        return make_example(content)

    for split, chosen in (("Train", ~fake.is_test), ("Test", fake.is_test)):
        file = folder / f"NUS_WIDE_{split}_full_feature_ZLIB.tfrecords"
        write_records(file, map(example, np.flatnonzero(chosen).tolist()))


def _splits(fake: FakeSet, test: str = "test") -> list[tuple[str, list[int]]]:
    return [("train", np.flatnonzero(~fake.is_test).tolist()), (test, np.flatnonzero(fake.is_test).tolist())]


def _write_ml2p(folder: Path, fake: FakeSet) -> None:
    _write_pictures(folder / "Flickr", fake)
    number = len(fake.labels.seen)
    for split, rows in _splits(fake):
        content = {
            str(place): {
                "img_id": fake.names[i],
                "labels_1006": fake.annotations[i].tolist(),
                "labels_81": fake.annotations[i, number:].tolist(),
                "labels_925": fake.annotations[i, :number].tolist(),
            }
            for place, i in enumerate(rows)
        }
        (folder / f"nus_wide_{split}.json").write_text(json.dumps(content))


def _write_ml_decoder(folder: Path, fake: FakeSet) -> None:
    _write_pictures(folder / "images", fake)
    lines = ["filepath,label,split_name"]
    for split, rows in _splits(fake, "val"):
        for i in rows:
            labels = ", ".join(np.array(fake.labels.all)[fake.annotations[i] == 1].tolist())
            lines.append(f'{fake.names[i]},"[{labels}]",{split}')
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    benchmark = {"train class": fake.labels.seen, "test class": fake.labels.unseen}
    (folder / f"benchmark_{len(fake.labels.unseen)}_v0.json").write_text(json.dumps(benchmark))


def _write_coco(folder: Path, fake: FakeSet) -> None:
    (folder / "annotations").mkdir()
    categories = [{"id": c, "name": label} for c, label in enumerate(fake.labels.all, start=1)]
    for split, rows in _splits(fake, "val"):
        (folder / f"{split}2017").mkdir()
        images: list[dict[str, object]] = []
        annotations: list[dict[str, object]] = []
        for i in rows:
            name = f"{i:012}.jpg"
            fake.picture(i).save(folder / f"{split}2017" / name, quality=95)
            images.append({"id": i, "file_name": name, "width": SIDE_PX, "height": SIDE_PX})
            labels = np.flatnonzero(fake.annotations[i] == 1).tolist()
            for (left, top, right, bottom), label in zip(fake.boxes(i), labels, strict=True):
                box = [left, top, right - left, bottom - top]
                annotations.append({"id": len(annotations), "image_id": i, "category_id": label + 1, "bbox": box})
        content = {"images": images, "annotations": annotations, "categories": categories}
        (folder / "annotations" / f"instances_{split}2017.json").write_text(json.dumps(content))
