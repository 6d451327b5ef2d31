"""Protocols: which images, labels and annotations count, and how.

The field's published figures come from evaluators that disagree. Each is a protocol here, by the name of those who
printed most with it, and agrees with their code; every report says which one was used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from zerotag.errors import UnknownNameError
from zerotag.labels import LabelSet
from zerotag.metrics import Ties


@dataclass(frozen=True)
class Protocol:
    """The rules of an evaluator.

    Attributes:
        name: of the protocol.
        summary: what sets it apart, and whose it is.
        drops_images_without_positives: leave out images that have none of the labels ranked.
        ties: which of the images of equal score ranks highest for a label.
        zero_without_positives: a label that no image has counts as 0 in the mean; otherwise it is left out.
        unknown_is_negative: images where a label is not annotated count as negatives in its average precision;
            otherwise they are left out of it.
        unknown_is_miss: labels that an image is not annotated for may be among its K best, where they are no hit;
            otherwise they are not ranked.
        last_label_first: of an image's labels of equal score the last one is taken, where unseen labels stand before
            seen ones; otherwise the first one, where seen labels stand before unseen ones.
        pooled: a label's average precision is that of all annotated entries, of whatever label, of the images that
            are annotated for it; where seen labels are ranked too, labels without annotations are left out.
    """

    name: str
    summary: str
    drops_images_without_positives: bool = False
    ties: Ties = "together"
    zero_without_positives: bool = True
    unknown_is_negative: bool = False
    unknown_is_miss: bool = True
    last_label_first: bool = False
    pooled: bool = False

    def order_of_equals(self, labels: LabelSet, ranked: slice) -> Int[np.ndarray, " c"]:
        """The columns ranked, in the order in which labels of equal score are taken."""
        columns = np.arange(len(labels.all))[ranked]
        if not self.last_label_first:
            return columns
        seen = columns < len(labels.seen)
        return np.concatenate([columns[seen][::-1], columns[~seen][::-1]])

    def ties_explained(self) -> str:
        """The rule for equal scores, in words."""
        images = {
            "together": "images of equal score come together",
            "first": "of images of equal score the first one ranks highest",
            "last": "of images of equal score the last one ranks highest",
        }[self.ties]
        label = "last one, unseen before seen," if self.last_label_first else "first one, seen before unseen,"
        return f"{images}; of an image's labels of equal score the {label} is taken"


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            "paper",
            "no image is dropped, unknown labels are neither hit nor miss, labels without positives are left out",
            zero_without_positives=False,
            unknown_is_miss=False,
        ),
        Protocol(
            "lesa",
            "Huynh and Elhamifar, CVPR 2020: no image is dropped, unknown labels count against precision at K",
            last_label_first=True,
        ),
        Protocol(
            "biam",
            "Narayan et al., ICCV 2021, NUS-WIDE: no image is dropped, equal scores in the order of images",
            ties="first",
        ),
        Protocol(
            "biam-open-images",
            "Narayan et al., ICCV 2021, Open Images: a label's average precision is taken over a pool of all labels "
            "of its images, which is no mean over labels; only to be set beside figures printed with it",
            drops_images_without_positives=True,
            ties="first",
            pooled=True,
        ),
        Protocol(
            "sdl",
            "Ben-Cohen et al., ICCV 2021, and work after it: images without a positive label are dropped",
            drops_images_without_positives=True,
            ties="last",
            unknown_is_negative=True,
        ),
    )
}


def protocol_named(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in PROTOCOLS:
        raise UnknownNameError("protocol", name, list(PROTOCOLS))
    return PROTOCOLS[name]
