"""Labels: which are seen in training and which are not, and label files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from zerotag.errors import UnknownNameError, ZerotagError, first_few

Setting = Literal["zsl", "gzsl", "multilabel"]
SETTINGS: tuple[Setting, ...] = ("zsl", "gzsl", "multilabel")


@dataclass(frozen=True)
class LabelSet:
    """Labels that a model is trained on, and labels that it never sees a picture of.

    Raises:
        ZerotagError: there is no seen label, a label comes twice, or one is both seen and unseen.
    """

    seen: tuple[str, ...]
    unseen: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.seen:
            raise ZerotagError("there are no seen labels; a model needs some to be trained on")
        if both := sorted(set(self.seen) & set(self.unseen)):
            raise ZerotagError(f"labels that are both seen and unseen: {first_few(both)}; take them out of one list")
        for side, labels in (("seen", self.seen), ("unseen", self.unseen)):
            if twice := [label for label, count in Counter(labels).items() if count > 1]:
                raise ZerotagError(f"{side} labels that come more than once: {first_few(twice)}")

    @property
    def all(self) -> tuple[str, ...]:
        """Seen labels, then unseen ones."""
        return self.seen + self.unseen

    def ranked(self, setting: str) -> slice:
        """Which of :attr:`all` are ranked: "zsl" the unseen ones, "gzsl" all, "multilabel" all where all are seen.

        Raises:
            ZerotagError: no such setting, "zsl" without unseen labels, or "multilabel" with some.
        """
        if setting not in SETTINGS:
            raise UnknownNameError("setting", setting, list(SETTINGS))
        if setting == "zsl" and not self.unseen:
            raise ZerotagError("setting 'zsl' ranks unseen labels, and there are none; use 'multilabel'")
        if setting == "multilabel" and self.unseen:
            raise ZerotagError(
                f"setting 'multilabel' ranks labels that were all trained on, and {len(self.unseen)} are unseen; "
                "train with --set labels.unseen_fraction=0"
            )
        return slice(len(self.seen) if setting == "zsl" else 0, len(self.all))


def split_labels(labels: Sequence[str], *, unseen_fraction: float, seed: int) -> LabelSet:
    """Draw the unseen labels; both parts keep the order of ``labels``."""
    order = np.random.default_rng(seed).permutation(len(labels))
    unseen = {labels[i] for i in order[: round(unseen_fraction * len(labels))]}
    return LabelSet(
        tuple(label for label in labels if label not in unseen), tuple(label for label in labels if label in unseen)
    )


def read_label_file(path: Path) -> list[str]:
    """Labels of a text file, one a line; blank lines and lines that begin with # are passed over.

    Raises:
        ZerotagError: the file is missing, no UTF-8 text, or empty, or a label comes twice.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise ZerotagError(f"the label file {path} cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise ZerotagError(f"the label file {path} is no UTF-8 text (byte {error.start}); save it as UTF-8") from error
    first_line: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        label = line.strip()
        if not label or label.startswith("#"):
            continue
        if label in first_line:
            raise ZerotagError(f"{path}: the label '{label}' stands on line {first_line[label]} and again on {number}")
        first_line[label] = number
    if not first_line:
        raise ZerotagError(f"the label file {path} holds no labels; write one a line")
    return list(first_line)
