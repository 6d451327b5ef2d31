"""A made-up data set with planted structure, before it is written in one of the real layouts.

Each label is a colour, its word vector is made from the colour, and a picture shows patches of the colours of its
labels; feature maps hold them in place of pixels. So a model can learn from seen labels what unseen ones look like.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int8
from PIL import Image, ImageDraw

from zerotag.labels import LabelSet

TEST_SHARE, LABELS_A_PICTURE = 0.4, (1, 4)
SIDE_PX, PATCH_PX, GRID, VECTOR_DIM = 160, 56, 14, 32
NOISE = 0.1
# streams of numbers drawn from the seed
VECTORS, MAPS = 1, 2


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

    def word_vectors(self) -> Float[np.ndarray, "c d"]:
        """Vectors of the labels: linear images of their colours."""
        mixing = np.random.default_rng([self.seed, VECTORS]).normal(size=(3, VECTOR_DIM))
        return (2 * self.colours - 1) @ mixing

    def tags(self) -> list[str]:
        """Seen labels, and as in the real list of tags most unseen ones, but not all."""
        return [*self.labels.seen, *self.labels.unseen[: -max(1, len(self.labels.unseen) // 10)]]

    def picture(self, index: int) -> Image.Image:
        """Patches on grey, with enough noise that no file is as small as a placeholder."""
        rng = self.rng(index)
        picture = Image.new("RGB", (SIDE_PX, SIDE_PX), (128, 128, 128))
        for box, colour in zip(self.boxes(index), self.colours_of(index), strict=True):
            ImageDraw.Draw(picture).rectangle(box, fill=tuple((255 * colour).astype(int).tolist()))
        noisy = np.asarray(picture) + rng.normal(0, 255 * NOISE / 4, (SIDE_PX, SIDE_PX, 3))
        return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))

    def boxes(self, index: int) -> list[tuple[int, int, int, int]]:
        """Left, top, right and bottom of the patch of each of a picture's labels, one in each quarter."""
        rng = self.rng(index)
        boxes = []
        for cell in rng.permutation(4)[: len(self.colours_of(index))]:
            left, top = (
                np.array(divmod(int(cell), 2)) * SIDE_PX // 2 + rng.integers(0, SIDE_PX // 2 - PATCH_PX, 2)
            ).tolist()
            boxes.append((left, top, left + PATCH_PX, top + PATCH_PX))
        return boxes

    def feature_map(self, index: int, channels: int) -> Float[np.ndarray, "k g2"]:
        """A rectified linear image of the colours at some positions, noise at the others."""
        mixing = np.random.default_rng([self.seed, MAPS]).normal(size=(channels, 3))
        rng = self.rng(index)
        maps = rng.normal(0, NOISE, (channels, GRID * GRID))
        for colour in self.colours_of(index):
            maps[:, rng.choice(GRID * GRID, 24, replace=False)] += (mixing @ (2 * colour - 1))[:, None]
        return maps.clip(0).astype(np.float32)


def draw(num_images: int, num_seen: int, num_unseen: int, seed: int) -> FakeSet:
    """A set of the given size; the same seed gives the same set."""
    rng = np.random.default_rng(seed)
    labels = LabelSet(tuple(f"tag{i:04}" for i in range(num_seen)), tuple(f"concept{i:02}" for i in range(num_unseen)))
    colours = rng.random((num_seen + num_unseen, 3))
    annotations = np.full((num_images, len(colours)), -1, np.int8)
    low, high = LABELS_A_PICTURE
    for row in annotations:
        row[rng.choice(len(colours), rng.integers(low, high + 1), replace=False)] = 1
    names = tuple(f"{labels.all[np.argmax(row)]}/{i:04}_{10**8 + 7 * i}.jpg" for i, row in enumerate(annotations))
    return FakeSet(labels, colours, names, rng.random(num_images) < TEST_SHARE, annotations, seed)
