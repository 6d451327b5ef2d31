"""Heat maps of a folder's pictures, drawn into files."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import Image

from zerotag.heatmaps import overlay
from zerotag.progress import Progress, silent
from zerotag.storage import write_atomically
from zerotag.tagging.readers import Decoded, Readers, Refusal, decoded, thumbnail
from zerotag.tagging.tagger import Tag, Tagger

LABELS_DRAWN = 3
LONGEST_SIDE_PX = 1024
MOST_NAME_BYTES = 255
UNNAMEABLE = re.compile(r"[\x00-\x1f/\\:*?\"<>|\ud800-\udfff]")


def write_heat_maps(
    tagger: Tagger, folder: Path, tagged: Iterable[tuple[str, list[Tag]]], out: Path, *, progress: Progress = silent
) -> dict[str, str]:
    """Draw where each picture's three best labels come from, at most 1,024 pixels wide and high.

    Pictures are decoded in worker processes, as those of :func:`zerotag.tagging.library.update` are.

    Args:
        tagger: the model.
        folder: of the pictures.
        tagged: paths below it, and tags.
        out: folder to write to; the files of ``a/b.jpg`` are ``a/b.jpg.<label>.png``.
        progress: is told of pictures drawn.

    Returns:
        Why pictures were not drawn, by path.

    Raises:
        ZerotagError: the model has no heat maps, or the disk is full.
    """
    tagger.require_heat_maps()
    pictures = [(path, tags) for path, tags in tagged if tags]
    files = [folder / path for path, _ in pictures]
    preprocessing = tagger.backbone.preprocessing
    square = partial(decoded, side_px=preprocessing.size_px, resampling=preprocessing.resampling)
    failures: dict[str, str] = {}
    with Readers() as readers:
        both = zip(
            readers.each(square, files), readers.each(partial(thumbnail, side_px=LONGEST_SIDE_PX), files), strict=True
        )
        for number, ((path, tags), ((_, pixels), (_, jpeg))) in enumerate(zip(pictures, both, strict=True), start=1):
            if isinstance(pixels, Refusal):
                failures[path] = pixels.reason
            elif isinstance(jpeg, Refusal):
                failures[path] = jpeg.reason
            else:
                try:
                    _draw(tagger, pixels, jpeg, [tag.label for tag in tags[:LABELS_DRAWN]], out / path)
                except OSError as error:
                    failures[path] = f"its heat maps cannot be written to {out} ({error.strerror})"
            progress("Drawing heat maps", number, len(pictures))
    return failures


def _draw(tagger: Tagger, pixels: Decoded, jpeg: bytes, labels: list[str], target: Path) -> None:
    (heats,) = tagger.heat_maps_of_pixels(tagger.backbone.preprocessing.batch([pixels.pixels]), labels)
    picture = Image.open(BytesIO(jpeg))
    for file, heat in zip(files_of(target, labels), heats, strict=True):
        content = BytesIO()
        overlay(picture, heat).save(content, "PNG")
        write_atomically(file, content.getvalue())


def files_of(target: Path, labels: Sequence[str]) -> list[Path]:
    """A file for each label, of a name that all systems take; labels that would share one get their digest into it."""
    names: list[str] = []
    for label in labels:
        name = UNNAMEABLE.sub("-", label)
        digest = hashlib.blake2b(label.encode(errors="surrogateescape"), digest_size=4).hexdigest()
        room = MOST_NAME_BYTES - len(os.fsencode(target.name)) - len(f"..{digest}.png")
        short = name.encode(errors="ignore")[: max(room, 0)].decode(errors="ignore")
        is_taken = short != name or name in names
        names.append(f"{short}.{digest}" if is_taken else name)
    return [target.with_name(f"{target.name}.{name}.png") for name in names]
