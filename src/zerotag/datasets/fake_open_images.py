"""Small sets in the real layout of Open Images v4, to see what it looks like, and for tests."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
from jaxtyping import Int8

from zerotag.datasets.fake_nus_wide import empty_folder, write_word_vectors
from zerotag.datasets.fake_set import FakeSet, draw
from zerotag.datasets.hdf5 import CHANNELS, FEATURES
from zerotag.datasets.open_images import CANDIDATES, CHOSEN, COLUMNS, NAMES, SEEN, TABLE
from zerotag.datasets.open_images_hdf5 import CANDIDATE_LABELS, SEEN_LABELS
from zerotag.datasets.tfrecord import make_example, write_records
from zerotag.errors import MissingPackageError, UnknownNameError

LAYOUTS = ("raw", "hdf5", "tfrecord")
NEGATIVES_A_PICTURE, PICTURES_A_CHUNK = 3, 64


def make(folder: Path, layout: str = "raw", *, num_images: int, num_seen: int, num_unseen: int, seed: int = 0) -> None:
    """Write a fake set, and ``word_vectors.txt`` in the format of GloVe beside it.

    A picture has verdicts on its labels and on three others; nothing is known of the rest.

    Raises:
        ZerotagError: an unknown layout, a folder that holds something, or numbers too small for a data set.
        MissingPackageError: h5py is not installed and the layout is "hdf5".
    """
    if layout not in LAYOUTS:
        raise UnknownNameError("layout of open-images", layout, list(LAYOUTS))
    empty_folder(folder, num_images, num_seen, num_unseen)
    fake = draw(num_images, num_seen, num_unseen, seed)
    write_word_vectors(folder, fake)
    home = folder / "2018_04"
    home.mkdir()
    identifiers = [f"/m/0{c:04x}" for c in range(len(fake.labels.all))]
    seen, unseen = identifiers[:num_seen], identifiers[num_seen:]
    (home / SEEN).write_text("".join(f"{label}\n" for label in seen))
    # every third candidate is chosen
    candidates = np.array([f"/m/x{c:04x}" for c in range(3 * num_unseen)], dtype=object)
    candidates[::3] = unseen
    (home / CANDIDATES).write_bytes(pickle.dumps(candidates.astype(str)))
    numbers = "".join(f"{3 * c},1\n" for c in range(num_unseen))
    (home / CHOSEN).write_text(numbers, encoding="utf-8-sig")
    named = "".join(f"{label},{name}\n" for label, name in zip(identifiers, fake.labels.all, strict=True))
    (home / NAMES).write_text(named)
    for split, chosen in (("train", ~fake.is_test), ("test", fake.is_test)):
        rows = np.flatnonzero(chosen).tolist()
        if layout == "raw":
            _write_pictures(folder, fake, split, rows, identifiers)
        elif layout == "hdf5":
            _write_chunks(folder, fake, split, rows)
        else:
            file = folder / f"{'OI_seen_unseen_test' if split == 'test' else 'train'}_feature_2018_04_ZLIB.tfrecords"
            write_records(file, (_example(fake, split, i) for i in rows))


def _write_pictures(folder: Path, fake: FakeSet, split: str, rows: list[int], identifiers: list[str]) -> None:
    (folder / split).mkdir()
    lines = [f"{COLUMNS[0]},Source,{','.join(COLUMNS[1:])}\n"]
    for i in rows:
        image = f"{i:016x}"
        fake.picture(i).save(folder / split / f"{image}.jpg", quality=95)
        known = _verdicts(fake, i)
        for value, confidence in ((1, 1), (-1, 0)):
            lines += [f"{image},verification,{identifiers[c]},{confidence}\n" for c in np.flatnonzero(known == value)]
    (folder / "2018_04" / TABLE.format(split)).write_text("".join(lines))


def _write_chunks(folder: Path, fake: FakeSet, split: str, rows: list[int]) -> None:
    try:
        import h5py
    except ImportError as error:
        raise MissingPackageError("h5py", "formats", "writing HDF5 files") from error
    home = folder / f"{split}_features"
    home.mkdir()
    for chunk, start in enumerate(range(0, len(rows), PICTURES_A_CHUNK)):
        with h5py.File(home / f"CHUNK_{chunk}_CONV5_4.h5", "w") as opened:
            for i in rows[start : start + PICTURES_A_CHUNK]:
                seen, candidates = _labels(fake, i)
                content = {FEATURES: fake.feature_map(i, CHANNELS), SEEN_LABELS: seen}
                if split == "test":
                    content[CANDIDATE_LABELS] = candidates
                for suffix, data in content.items():
                    opened.create_dataset(f"{i:016x}{suffix}", data=data, compression="gzip")


def _verdicts(fake: FakeSet, index: int) -> Int8[np.ndarray, " c"]:
    """What is known of a picture: its labels, and three that it has not."""
    known = np.where(fake.annotations[index] == 1, np.int8(1), np.int8(0))
    known[fake.rng(index).choice(np.flatnonzero(known == 0), NEGATIVES_A_PICTURE, replace=False)] = -1
    return known


def _labels(fake: FakeSet, index: int) -> tuple[np.ndarray, np.ndarray]:
    """What is known of seen labels, and of the candidates for unseen ones, of which every third was chosen."""
    known, number = _verdicts(fake, index), len(fake.labels.seen)
    candidates = np.zeros(3 * (len(known) - number), np.int8)
    candidates[::3] = known[number:]
    return known[:number], candidates


def _example(fake: FakeSet, split: str, index: int) -> bytes:
    seen, candidates = (labels.astype("<i4").tobytes() for labels in _labels(fake, index))
    labels = {"label": seen} if split == "train" else {"seen_label": seen, "unseen_label": candidates}
    feature = fake.feature_map(index, CHANNELS).T.tobytes()
    return make_example({"img_id": f"{index:016x}.jpg".encode(), "feature": feature} | labels)
