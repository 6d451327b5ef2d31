"""What is in a data set: looked at before any work is begun, in words and in numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from zerotag import minilm
from zerotag.datasets import layout_of, load_dataset, open_images
from zerotag.datasets.pictures import TEST, TRAIN, PictureDataset
from zerotag.datasets.pocket import BUILDERS
from zerotag.errors import MissingPackageError, first_few
from zerotag.images import BadPictureError, open_picture
from zerotag.labels import BETWEEN_LABELS, lookalikes
from zerotag.nus_wide_lists import home_of_lists, label_lists, list_doubts
from zerotag.progress import Progress, silent

WITH_LISTS_OF_NUS_WIDE = ("nus-wide", "hdf5", "tfrecord", "ml2p")
BLOCK = 4096
SHOWN = 5


@dataclass(frozen=True)
class SplitFigures:
    """One split.

    Attributes:
        num_images: pictures that are there.
        seen_positives_per_image: mean number of seen labels of a picture; of all labels where a run draws its own.
        unseen_positives_per_image: of unseen labels, which is Q of setting "zsl"; None where none is annotated.
        images_without_unseen: pictures that some protocols leave out in "zsl".
        unknown: share of annotations that are unknown.
    """

    num_images: int
    seen_positives_per_image: float
    unseen_positives_per_image: float | None
    images_without_unseen: int | None
    unknown: float


@dataclass(frozen=True)
class DatasetCheck:
    """What was found.

    Attributes:
        root: of the data set.
        layout: its name.
        splits: figures of training and test pictures.
        num_seen: labels that are trained on; all where none is fixed.
        num_unseen: labels that the data set keeps from training.
        labels_without_training_images: how many of the seen labels no training picture has.
        feature_maps: channels by stride, where there are maps and no pictures.
        left_out: how many pictures are listed and not used, by reason.
        broken: pictures that cannot be decoded, with the reason, where all were opened.
        doubts: what a reader should know before comparing figures.
        stops: what ``zerotag train`` would not go on with.
    """

    root: Path
    layout: str
    splits: dict[str, SplitFigures]
    num_seen: int
    num_unseen: int
    labels_without_training_images: int
    feature_maps: dict[int, int] | None
    left_out: dict[str, int]
    broken: dict[str, str]
    doubts: tuple[str, ...]
    stops: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self) | {"root": str(self.root)}


def check(data: str, *, open_pictures: bool = False, progress: Progress = silent) -> DatasetCheck:
    """Look at a data set.

    Args:
        data: its name or folder.
        open_pictures: decode every picture; some milliseconds each.
        progress: told of each step.

    Raises:
        ZerotagError: it cannot be read; the message names the file, what was expected, and what to do.
    """
    dataset = load_dataset(data)
    layout = "folder" if data in BUILDERS else layout_of(Path(data))
    unseen = np.isin(dataset.labels, dataset.unseen)
    splits, images_of = {}, {}
    for split in (TRAIN, TEST):
        splits[split], images_of[split] = _figures(dataset, split, unseen)
    reasons = list(dataset.left_out.values())
    return DatasetCheck(
        dataset.root,
        layout,
        splits,
        int((~unseen).sum()),
        int(unseen.sum()),
        int((images_of[TRAIN][~unseen] == 0).sum()),
        None if dataset.maps is None else dataset.maps.channels,
        {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)},
        _broken(dataset, progress) if open_pictures and dataset.maps is None else {},
        tuple(_doubts(dataset, layout, splits)),
        tuple(_stops(dataset, splits, images_of[TRAIN][~unseen])),
    )


def _figures(dataset: PictureDataset, split: str, unseen: np.ndarray) -> tuple[SplitFigures, np.ndarray]:
    """Figures of a split, and how many pictures each label has in it; pictures are looked at in blocks."""
    rows = dataset.rows(split)
    images_of = np.zeros(len(dataset.labels), np.int64)
    without = num_known = unseen_known = 0
    for start in range(0, len(rows), BLOCK):
        annotations = dataset.annotations[rows[start : start + BLOCK]]
        positive = annotations == 1
        images_of += positive.sum(0)
        without += int((~positive[:, unseen].any(1)).sum())
        num_known += int(np.count_nonzero(annotations))
        unseen_known += int(np.count_nonzero(annotations[:, unseen]))
    number, num_entries = max(1, len(rows)), len(rows) * len(dataset.labels)
    figures = SplitFigures(
        len(rows),
        float(images_of[~unseen].sum() / number),
        float(images_of[unseen].sum() / number) if unseen_known else None,
        without if unseen_known else None,
        1 - num_known / num_entries if num_entries else 0.0,
    )
    return figures, images_of


def _broken(dataset: PictureDataset, progress: Progress) -> dict[str, str]:
    def reason(index: int) -> str | None:
        try:
            open_picture(dataset.picture(index))
        except BadPictureError as error:
            return error.reason
        return None

    found: dict[str, str] = {}
    with ThreadPoolExecutor() as pool:
        for index, why in enumerate(pool.map(reason, range(len(dataset.paths)))):
            if why is not None:
                found[dataset.paths[index]] = why
            progress("Opening pictures", index + 1, len(dataset.paths))
    return found


def _doubts(dataset: PictureDataset, layout: str, splits: dict[str, SplitFigures]) -> list[str]:
    doubts = list(dataset.notes)
    doubts += [f"there are no {split} pictures" for split, figures in splits.items() if not figures.num_images]
    if alike := [" = ".join(map(repr, labels)) for labels in lookalikes(dataset.labels)]:
        doubts.append(f"labels that differ in case, blanks or Unicode form alone: {'; '.join(alike[:SHOWN])}")
    if layout == "folder" and (joined := [label for label in dataset.labels if set(label) & BETWEEN_LABELS.keys()]):
        doubts.append(f"labels that may be several in one: {first_few(joined)}")
    if layout in WITH_LISTS_OF_NUS_WIDE:
        doubts += list_doubts(*label_lists(home_of_lists(dataset.root)))
    if layout.startswith("open-images"):
        doubts += open_images.list_doubts(dataset.root)
    return doubts


def _stops(dataset: PictureDataset, splits: dict[str, SplitFigures], images_of_seen: np.ndarray) -> list[str]:
    stops = []
    if not splits[TRAIN].num_images:
        stops.append("there are no training pictures; mark some with the split train")
    elif not images_of_seen.any():
        stops.append("no training picture has a label to train on")
    if len(images_of_seen) < 2:
        stops.append(f"labels to train on: {len(images_of_seen)}; two are needed at least")
    if twice := [label for label, number in Counter(dataset.labels).items() if number > 1]:
        stops.append(f"labels that come more than once: {first_few(twice)}")
    if any(not label.strip() for label in dataset.labels):
        stops.append("a label is blank")
    if unknown := _without_vector(dataset.labels):
        stops.append(
            f"{len(unknown)} labels have no vector in minilm: {first_few(unknown)}; give them English names, or "
            "another source of vectors in the settings"
        )
    return stops


def _without_vector(labels: Sequence[str]) -> list[str]:
    """Labels that the text encoder does not know, where it is installed."""
    try:
        return [label for label, words in minilm.unknown_words(labels).items() if words is None]
    except MissingPackageError:
        return []
