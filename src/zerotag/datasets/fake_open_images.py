"""Small sets in the real layout of Open Images v4, to see what it looks like, and for tests."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np

from zerotag.datasets.fake_nus_wide import empty_folder, write_word_vectors
from zerotag.datasets.fake_set import FakeSet, draw
from zerotag.datasets.open_images import CANDIDATES, CHOSEN, COLUMNS, NAMES, SEEN, TABLE

NEGATIVES_A_PICTURE = 3


def make(folder: Path, *, num_images: int, num_seen: int, num_unseen: int, seed: int = 0) -> None:
    """Write a fake set, and ``word_vectors.txt`` in the format of GloVe beside it.

    A picture has verdicts on its labels and on three others; nothing is known of the rest.

    Raises:
        ZerotagError: a folder that holds something, or numbers too small for a data set.
    """
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
    rows = "".join(f"{3 * c},1\n" for c in range(num_unseen))
    (home / CHOSEN).write_text(rows, encoding="utf-8-sig")
    named = "".join(f"{label},{name}\n" for label, name in zip(identifiers, fake.labels.all, strict=True))
    (home / NAMES).write_text(named)
    for split, chosen in (("train", ~fake.is_test), ("test", fake.is_test)):
        _write_split(folder, home, fake, split, np.flatnonzero(chosen).tolist(), identifiers)


def _write_split(folder: Path, home: Path, fake: FakeSet, split: str, rows: list[int], identifiers: list[str]) -> None:
    (folder / split).mkdir()
    lines = [f"{COLUMNS[0]},Source,{','.join(COLUMNS[1:])}\n"]
    for i in rows:
        image = f"{i:016x}"
        fake.picture(i).save(folder / split / f"{image}.jpg", quality=95)
        positive = np.flatnonzero(fake.annotations[i] == 1)
        negative = fake.rng(i).choice(np.flatnonzero(fake.annotations[i] != 1), NEGATIVES_A_PICTURE, replace=False)
        for columns, confidence in ((positive, 1), (negative, 0)):
            lines += [f"{image},verification,{identifiers[c]},{confidence}\n" for c in columns]
    (home / TABLE.format(split)).write_text("".join(lines))
