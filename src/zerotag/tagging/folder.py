"""A folder of pictures tagged: bad pictures skipped and named, all others tagged, nothing in the folder touched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zerotag.errors import ZerotagError
from zerotag.heatmaps import overlay
from zerotag.images import BadPictureError, find_pictures, open_picture
from zerotag.progress import Progress, silent
from zerotag.storage import full_disk_explained
from zerotag.tagging.tagger import BATCH_SIZE, Tag, Tagger

HEAT_MAPS_PER_PICTURE = 3


@dataclass
class TaggedFolder:
    """What tagging a folder gave.

    Attributes:
        tags: best labels of each picture, by path relative to the folder.
        skipped: why a picture could not be read, by path.
        labels_without_vector: labels that were left out.
    """

    tags: dict[str, list[Tag]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    labels_without_vector: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "pictures": [{"path": path, "tags": [vars(t) for t in tags]} for path, tags in self.tags.items()],
            "skipped": [{"path": path, "reason": reason} for path, reason in self.skipped.items()],
            "labels_without_vector": list(self.labels_without_vector),
        }


def tag_folder(
    tagger: Tagger,
    folder: Path,
    labels: Sequence[str] | None = None,
    *,
    top_k: int = 10,
    heat_map_folder: Path | None = None,
    allow_missing: bool = False,
    progress: Progress = silent,
) -> TaggedFolder:
    """Tag all pictures below ``folder``; write heat maps of each one's three best labels where asked for.

    Raises:
        ZerotagError: the folder is not there or holds no readable picture, a label has no vector and
            ``allow_missing`` is not set, or the run's model has no heat maps.
    """
    paths = find_pictures(folder)
    words, W, missing = tagger.vocabulary(labels, allow_missing=allow_missing)
    tagged = TaggedFolder(labels_without_vector=missing)
    for start in range(0, len(paths), BATCH_SIZE):
        batch = {}
        for path in paths[start : start + BATCH_SIZE]:
            name = path.relative_to(folder).as_posix()
            try:
                batch[name] = open_picture(path)
            except BadPictureError as error:
                tagged.skipped[name] = error.reason
        if batch:
            tagged.tags |= dict(
                zip(batch, tagger.rank(tagger.embed(list(batch.values())), words, W, top_k), strict=True)
            )
        if heat_map_folder is not None:
            for name, picture in batch.items():
                best = [tag.label for tag in tagged.tags[name][:HEAT_MAPS_PER_PICTURE]]
                for label, heat in zip(best, tagger.heat_maps(picture, best), strict=True):
                    file = heat_map_folder / f"{name}.{label.replace('/', '-')}.png"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    with full_disk_explained(file):
                        overlay(picture, heat).save(file)
        progress("Tagging pictures", min(start + BATCH_SIZE, len(paths)), len(paths))
    if not tagged.tags:
        raise ZerotagError(f"none of the {len(paths)} pictures in {folder} could be read: {tagged.skipped}")
    return tagged
