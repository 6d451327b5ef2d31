"""Heat maps of a folder's pictures, drawn into files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import partial
from io import BytesIO
from pathlib import Path

from PIL import Image

from zerotag.errors import visible
from zerotag.heatmaps import overlay
from zerotag.progress import Progress, silent
from zerotag.storage import write_atomically
from zerotag.tagging.readers import Decoded, Readers, Refusal, decoded, thumbnail
from zerotag.tagging.tagger import Tag, Tagger

LABELS_DRAWN = 3
LONGEST_SIDE_PX = 1024
LONGEST_LABEL_BYTES, LONGEST_NAME_BYTES = 80, 255
NOT_IN_NAMES = re.compile(r'[/\\:*?"<>|]')  # of Linux, macOS or Windows


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
                _draw(tagger, pixels, jpeg, [tag.label for tag in tags[:LABELS_DRAWN]], out / path)
            progress("Drawing heat maps", number, len(pictures))
    return failures


def _draw(tagger: Tagger, pixels: Decoded, jpeg: bytes, labels: list[str], target: Path) -> None:
    (heats,) = tagger.heat_maps_of_pixels(tagger.backbone.preprocessing.batch([pixels.pixels]), labels)
    picture = Image.open(BytesIO(jpeg))
    for label, heat in zip(labels, heats, strict=True):
        file = target.with_name(name_of(target.name, label))
        content = BytesIO()
        overlay(picture, heat).save(content, "PNG")
        write_atomically(file, content.getvalue())


def name_of(picture: str, label: str) -> str:
    """The name of a picture's heat map: with the label as far as a name of a file can hold it.

    A label that it cannot hold as it is written has a digest of it behind it, so that no two labels share a file.
    """
    written = NOT_IN_NAMES.sub("-", visible(label))
    short = written.encode()[:LONGEST_LABEL_BYTES].decode(errors="ignore")
    digest = hashlib.blake2b(label.encode(errors="surrogatepass"), digest_size=4).hexdigest()
    ending = f".{short}.png" if short == label else f".{short}-{digest}.png"
    room = LONGEST_NAME_BYTES - len(ending.encode())
    return f"{picture.encode(errors='surrogateescape')[:room].decode(errors='ignore')}{ending}"
