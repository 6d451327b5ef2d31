"""NUS-WIDE as (ML)²P-Encoder hands it round: a JSON a split, ``{"0": {"img_id": …, "labels_1006": […]}, …}``.

``labels_1006`` is 1 and −1, or 1 and 0, for the seen labels and then the 81 concepts; other keys beside it are passed
over. A file whose name has "train" in it holds training pictures, one with "test" test pictures, which lie below the
folder or its sub-folder ``Flickr``. The lists of labels lie in the same folder or up to two above it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from zerotag.datasets.pictures import PictureDataset, leaves_folder, on_disk, split_named
from zerotag.errors import ZerotagError
from zerotag.nus_wide_lists import home_of_lists, label_lists, seen_tags
from zerotag.opening import regular

LAYOUT = "the layout is described in docs/formats.md"
START_BYTES = 4096
Label = Annotated[int, Field(ge=-1, le=1)]


class _Picture(BaseModel):
    img_id: str
    labels_1006: list[Label]


def files_of(root: Path) -> list[Path]:
    """The JSON files that hold pictures; training comes first."""
    found = [file for file in sorted(root.glob("*.json")) if b'"labels_1006"' in _start(file)]
    return sorted(found, key=lambda file: "train" not in file.stem.lower())


def recognises(root: Path) -> bool:
    """Whether the folder looks like this layout."""
    return bool(files_of(root))


def read(root: Path) -> PictureDataset:
    """Read the layout.

    Raises:
        ZerotagError: a file is damaged, of another form or of no known split, or the lists of labels are not there.
    """
    tags, concepts = label_lists(home_of_lists(root))
    seen = seen_tags(tags, concepts)
    number = len(seen) + len(concepts)
    pictures = root / "Flickr" if (root / "Flickr").is_dir() else root
    paths: dict[str, str] = {}
    rows, left_out = [], {}
    for file in files_of(root):
        split = split_named(file)
        for picture in _parsed(file):
            listed = picture.img_id.replace("\\", "/")
            if leaves_folder(listed) or listed.startswith("/"):
                raise ZerotagError(f"{file}: '{listed}' leads out of the folder of pictures; {LAYOUT}")
            path = on_disk(pictures, listed) or listed
            if len(picture.labels_1006) != number:
                raise ZerotagError(
                    f"{file}: '{path}' has {len(picture.labels_1006)} labels, the lists have {number}; {LAYOUT}"
                )
            if path in paths:
                raise ZerotagError(f"{file}: the picture '{path}' is listed more than once")
            if on_disk(pictures, path) is not None:
                paths[path] = split
                rows.append(np.array(picture.labels_1006, np.int8))
            else:
                left_out[path] = "not there"
    if not rows:
        looked_for = pictures / next(iter(left_out), "")
        raise ZerotagError(
            f"{pictures} holds none of the {len(left_out)} pictures listed, such as {looked_for}; {LAYOUT}"
        )
    annotations = np.stack(rows)
    if (annotations != -1).all():  # written as 1 and 0
        annotations[annotations == 0] = -1
    return PictureDataset(
        pictures,
        tuple(paths),
        tuple(paths.values()),
        (*seen, *concepts),
        annotations,
        unseen=tuple(concepts),
        left_out=left_out,
    )


def _start(file: Path) -> bytes:
    with regular(file).open("rb") as opened:
        return opened.read(START_BYTES)


def _parsed(file: Path) -> list[_Picture]:
    try:
        content = json.loads(regular(file).read_bytes())
        return list(TypeAdapter(dict[str, _Picture]).validate_python(content).values())
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise ZerotagError(f"{file}: '{where}': {fault['msg'].lower()}; {LAYOUT}") from error
    except RecursionError as error:
        raise ZerotagError(f"{file} is nested too deep; {LAYOUT}") from error
    except ValueError as error:
        raise ZerotagError(f"{file} is no JSON ({error}); it may have been cut off") from error
