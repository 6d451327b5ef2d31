"""The lists of labels of NUS-WIDE, which lie beside the data in all its layouts: 1,000 tags, and 81 concepts."""

from __future__ import annotations

import hashlib
from pathlib import Path

from zerotag.errors import ZerotagError
from zerotag.labels import read_label_file

NUM_SEEN, NUM_UNSEEN = 925, 81
TAG_PLACES = ("NUS_WID_Tags/TagList1k.txt", "TagList1k.txt")
CONCEPT_PLACES = ("ConceptsList/Concepts81.txt", "Concepts81.txt")
# of the lists as everyone has them, each label with a newline after it
TAGS_SHA256 = "1430d2ba75050e15b8f189a20b4701064a7cd83f8b329a332011d2037c40a5ec"
CONCEPTS_SHA256 = "d75764728914370aab6df9f24f144772fb8f662117d04448db2633e6d0ee926a"


def home_of_lists(start: Path) -> Path:
    """The nearest folder with the lists: this one, or one of the two above it; this one where none has them."""
    homes = [start, *start.parents[:2]]
    return next((home for home in homes if any((home / place).is_file() for place in TAG_PLACES)), start)


def label_lists(root: Path) -> tuple[list[str], list[str]]:
    """The tags, and the concepts.

    Raises:
        ZerotagError: a list is not there or does not hold.
    """
    tags, concepts = (read_label_file(_there(root, places)) for places in (TAG_PLACES, CONCEPT_PLACES))
    return tags, concepts


def seen_tags(tags: list[str], concepts: list[str]) -> list[str]:
    """The tags that are no concept, in their order."""
    known = set(concepts)
    return [tag for tag in tags if tag not in known]


def list_doubts(tags: list[str], concepts: list[str]) -> list[str]:
    """What is odd about the lists: another number or order of labels than that of everyone else."""
    doubts = []
    for name, labels, expected in (("tags", tags, TAGS_SHA256), ("concepts", concepts, CONCEPTS_SHA256)):
        digest = hashlib.sha256("".join(f"{label}\n" for label in labels).encode()).hexdigest()
        if digest != expected:
            doubts.append(f"the list of {len(labels)} {name} is not the usual one (sha256 {digest[:12]}…)")
    if len(seen := seen_tags(tags, concepts)) != NUM_SEEN:
        doubts.append(f"{len(seen)} tags are no concept; in print they are {NUM_SEEN}")
    if len(concepts) != NUM_UNSEEN:
        doubts.append(f"there are {len(concepts)} concepts; in print they are {NUM_UNSEEN}")
    return doubts


def _there(root: Path, places: tuple[str, ...]) -> Path:
    for place in places:
        if (root / place).is_file():
            return root / place
    raise ZerotagError(f"{root / places[0]} is not there; the layout is described in docs/formats.md")
