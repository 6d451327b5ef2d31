"""Small sets in the real layouts of NUS-WIDE, with planted structure: to see what a layout looks like, and for tests.

Each label is a colour, its word vector is made from the colour, and a picture shows patches of the colours of its
labels; feature maps hold them in place of pixels. So a model can learn from seen labels what unseen ones look like.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int8
from PIL import Image, ImageDraw

from zerotag.datasets.hdf5 import CHANNELS, CONCEPTS, FEATURES, LABELS
from zerotag.datasets.tfrecord import make_example, write_records
from zerotag.errors import MissingPackageError, UnknownNameError, ZerotagError
from zerotag.labels import LabelSet

LAYOUTS = ("raw", "hdf5", "hdf5-table", "tfrecord")
TEST_SHARE, LABELS_A_PICTURE = 0.4, (1, 4)
SIDE_PX, PATCH_PX, GRID, VECTOR_DIM, TABLE_WIDTH = 160, 56, 14, 32, 4096
NOISE = 0.1


@dataclass(frozen=True)
class FakeSet:
    """What all layouts are written from.

    Attributes:
        labels: seen and unseen.
        colours: of the labels, seen ones first, [C, 3] from 0 to 1.
        names: paths of the pictures.
        is_test: which of them are for testing, [N].
        annotations: 1 and −1, [N, C].
        seed: what else is drawn.
    """

    labels: LabelSet
    colours: Float[np.ndarray, "c 3"]
    names: tuple[str, ...]
    is_test: np.ndarray
    annotations: Int8[np.ndarray, "n c"]
    seed: int

    def rng(self, index: int) -> np.random.Generator:
        """What is drawn for one picture."""
        return np.random.default_rng([self.seed, index])

    def colours_of(self, index: int) -> Float[np.ndarray, "k 3"]:
        """Colours of a picture's labels."""
        return self.colours[self.annotations[index] == 1]


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
    writers = {"raw": _write_raw, "hdf5": _write_hdf5, "hdf5-table": _write_hdf5_table, "tfrecord": _write_tfrecord}
    if layout not in writers:
        raise UnknownNameError("layout of nus-wide", layout, list(writers))
    if folder.exists() and any(folder.iterdir()):
        raise ZerotagError(f"{folder} is not empty; name another folder")
    if num_images < 10 or num_seen < 2 or num_unseen < 1:
        raise ZerotagError("a fake set needs 10 images, 2 seen labels and an unseen one at least")
    fake = _draw(num_images, num_seen, num_unseen, seed)
    folder.mkdir(parents=True, exist_ok=True)
    _write_lists(folder, fake)
    writers[layout](folder, fake)


def _draw(num_images: int, num_seen: int, num_unseen: int, seed: int) -> FakeSet:
    rng = np.random.default_rng(seed)
    labels = LabelSet(tuple(f"tag{i:04}" for i in range(num_seen)), tuple(f"concept{i:02}" for i in range(num_unseen)))
    colours = rng.random((num_seen + num_unseen, 3))
    annotations = np.full((num_images, len(colours)), -1, np.int8)
    low, high = LABELS_A_PICTURE
    for row in annotations:
        row[rng.choice(len(colours), rng.integers(low, high + 1), replace=False)] = 1
    names = tuple(f"{labels.all[np.argmax(row)]}/{i:04}_{10**8 + 7 * i}.jpg" for i, row in enumerate(annotations))
    return FakeSet(labels, colours, names, rng.random(num_images) < TEST_SHARE, annotations, seed)


def _write_lists(folder: Path, fake: FakeSet) -> None:
    mixing = np.random.default_rng([fake.seed, 1]).normal(size=(3, VECTOR_DIM))
    vectors = (2 * fake.colours - 1) @ mixing
    lines = [
        f"{label} {' '.join(f'{v:.5f}' for v in row)}" for label, row in zip(fake.labels.all, vectors, strict=True)
    ]
    (folder / "word_vectors.txt").write_text("\n".join(lines) + "\n")
    for name, listed in (
        ("NUS_WID_Tags/TagList1k.txt", _tags(fake)),
        ("ConceptsList/Concepts81.txt", fake.labels.unseen),
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("".join(f"{label}\n" for label in listed))


def _tags(fake: FakeSet) -> list[str]:
    """As in the real list most concepts, but not all, are also among the tags."""
    return [*fake.labels.seen, *fake.labels.unseen[: -max(1, len(fake.labels.unseen) // 10)]]


def _write_raw(folder: Path, fake: FakeSet) -> None:
    for name in ("ImageList", "AllLabels", "Flickr"):
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
    columns = [fake.labels.all.index(tag) for tag in _tags(fake)]
    table = ["\t".join(row) + "\t\n" for row in hot[:, columns].astype(int).astype(str)]
    (folder / "NUS_WID_Tags" / "AllTags1k.txt").write_text("".join(table))
    for c, concept in enumerate(fake.labels.unseen, start=len(fake.labels.seen)):
        lines = [f"{value}\n" for value in hot[:, c].astype(int)]
        (folder / "AllLabels" / f"Labels_{concept}.txt").write_text("".join(lines))
    for index, name in enumerate(fake.names):
        file = folder / "Flickr" / name
        file.parent.mkdir(exist_ok=True)
        _picture(fake, index).save(file, quality=95)


def _picture(fake: FakeSet, index: int) -> Image.Image:
    """Patches on grey, with enough noise that no file is as small as a placeholder."""
    rng = fake.rng(index)
    picture = Image.new("RGB", (SIDE_PX, SIDE_PX), (128, 128, 128))
    cells = rng.permutation(4)
    for cell, colour in zip(cells, fake.colours_of(index), strict=False):
        left, top = (
            np.array(divmod(int(cell), 2)) * SIDE_PX // 2 + rng.integers(0, SIDE_PX // 2 - PATCH_PX, 2)
        ).tolist()
        box = (left, top, left + PATCH_PX, top + PATCH_PX)
        ImageDraw.Draw(picture).rectangle(box, fill=tuple((255 * colour).astype(int).tolist()))
    noisy = np.asarray(picture) + rng.normal(0, 255 * NOISE / 4, (SIDE_PX, SIDE_PX, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def _map(fake: FakeSet, index: int, mixing: np.ndarray) -> Float[np.ndarray, "k g2"]:
    """A rectified linear image of the colours at some positions, noise at the others."""
    rng = fake.rng(index)
    maps = rng.normal(0, NOISE, (len(mixing), GRID * GRID))
    for colour in fake.colours_of(index):
        maps[:, rng.choice(GRID * GRID, 24, replace=False)] += (mixing @ (2 * colour - 1))[:, None]
    return maps.clip(0).astype(np.float32)


def _files(folder: Path, fake: FakeSet) -> Iterator[tuple[object, np.ndarray]]:
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
    mixing = np.random.default_rng([fake.seed, 2]).normal(size=(CHANNELS, 3))
    number = len(fake.labels.seen)
    for split, (opened, rows) in zip(("train", "test"), _files(folder, fake), strict=True):
        for i in rows.tolist():
            name, annotated = fake.names[i].replace("/", "_"), fake.annotations[i]
            labels = annotated[:number] if split == "train" else annotated
            for suffix, data in (
                (FEATURES, _map(fake, i, mixing)),
                (LABELS, labels),
                (CONCEPTS, annotated[number:]),
            ):
                opened.create_dataset(name + suffix, data=data, compression="gzip")  # type: ignore[attr-defined]
        names = {"img_names": [fake.names[i].replace("/", "_") for i in rows.tolist()]}
        (folder / f"{'' if split == 'train' else 'test_'}img_names.pkl").write_bytes(pickle.dumps(names))


def _write_hdf5_table(folder: Path, fake: FakeSet) -> None:
    mixing = np.random.default_rng([fake.seed, 2]).normal(size=(TABLE_WIDTH, 3))
    number = len(fake.labels.seen)
    for split, (opened, rows) in zip(("train", "test"), _files(folder, fake), strict=True):
        features = np.stack([_map(fake, i, mixing).max(1) for i in rows.tolist()])
        labels = fake.annotations[rows, :number] if split == "train" else fake.annotations[rows]
        names = np.array([fake.names[i].encode() for i in rows.tolist()])
        for key, data in (("image_files", names), ("features", features), ("labels", labels)):
            opened.create_dataset(key, data=data)  # type: ignore[attr-defined]


def _write_tfrecord(folder: Path, fake: FakeSet) -> None:
    mixing = np.random.default_rng([fake.seed, 2]).normal(size=(CHANNELS, 3))
    tags = _tags(fake)
    columns = [fake.labels.all.index(tag) for tag in tags]
    is_concept = np.isin(tags, fake.labels.unseen)

    def example(i: int) -> bytes:
        of_tags = np.where(is_concept, 0, fake.annotations[i, columns])
        content = {
            "img_id": f"./data/NUS_WIDE/Flickr/{fake.names[i]}".encode(),
            "feature": _map(fake, i, mixing).T.tobytes(),
            "label_1k": of_tags.astype(np.float32).tobytes(),
            "label_81": fake.annotations[i, len(fake.labels.seen) :].astype(np.float32).tobytes(),
        }
        return make_example(content)

    for split, chosen in (("Train", ~fake.is_test), ("Test", fake.is_test)):
        file = folder / f"NUS_WIDE_{split}_full_feature_ZLIB.tfrecords"
        write_records(file, map(example, np.flatnonzero(chosen).tolist()))
