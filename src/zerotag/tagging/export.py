"""Tags handed to other programs: a format, a function; each writes its file whole or not at all, picture by picture."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

from zerotag.errors import MissingPackageError, UnknownNameError, ZerotagError, in_json
from zerotag.labels import as_cell
from zerotag.storage import full_disk_explained, whole_or_not_at_all
from zerotag.tagging.tagger import Tag

ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class TaggedPicture:
    """A picture to hand on.

    Attributes:
        path: relative to the folder.
        absolute: where it lies.
        width: as it is shown, in pixels.
        height: likewise.
        tags: best first.
    """

    path: str
    absolute: str
    width: int
    height: int
    tags: list[Tag]


@dataclass(frozen=True)
class Tagging:
    """Pictures with their tags, the labels they were drawn from, and by what model."""

    pictures: Iterable[TaggedPicture]
    labels: tuple[str, ...]
    model: str


Exporter = Callable[[Tagging, Path], None]
EXPORTERS: dict[str, Exporter] = {}


def exporter(name: str) -> Callable[[Exporter], Exporter]:
    """Decorator that makes a format known under ``name``."""

    def add(write: Exporter) -> Exporter:
        EXPORTERS[name] = write
        return write

    return add


def export(tagging: Tagging, file: Path, form: str) -> None:
    """Write tags in a format.

    Raises:
        UnknownNameError: there is no such format.
        MissingPackageError: it needs a package that is not installed.
        ZerotagError: the file cannot be written, or the disk is full; what stood in the file before stands there still.
    """
    if form not in EXPORTERS:
        raise UnknownNameError("format to export", form, list(EXPORTERS))
    target = _target(file)
    try:
        with full_disk_explained(file), whole_or_not_at_all(target) as partial:
            EXPORTERS[form](tagging, partial)
    except OSError as error:
        if f"{partial}" in str(error):  # a file that nobody named
            reason = error.strerror or "the place does not take it"
            raise ZerotagError(f"{file} cannot be written ({reason}); name another file") from error
        raise


def _target(file: Path) -> Path:
    """Where a file is to be written: where a link leads, or the file itself.

    Raises:
        ZerotagError: it is a folder, or neither a file nor a new one.
    """
    try:
        if file.exists() and not file.is_file():
            kind = "a folder" if file.is_dir() else "a device or a pipe, which cannot be written whole or not at all"
            raise ZerotagError(f"{file} is {kind}; name a file to write")
        target = file.resolve()
        target.parent.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:  # the latter where links lead in a circle
        reason = error.strerror if isinstance(error, OSError) else "its links lead in a circle"
        raise ZerotagError(f"{file} cannot be written ({reason}); name another file") from error
    return target


def _rows(tagging: Tagging) -> Iterator[dict[str, Any]]:
    return ({"path": one.path, **vars(tag)} for one in tagging.pictures for tag in one.tags)


@exporter("csv")
def write_csv(tagging: Tagging, file: Path) -> None:
    """A row a tag: path, label, score, seen, confidence.

    A path or label that a spreadsheet would run as a formula has an apostrophe before it; one that already begins with
    apostrophes and such a sign has one more.
    """
    with file.open("w", newline="", encoding="utf-8") as opened:
        table = csv.DictWriter(opened, ["path", "label", "score", "seen", "confidence"])
        table.writeheader()
        for row in _rows(tagging):
            table.writerow(row | {"path": as_cell(row["path"]), "label": as_cell(row["label"])})


@exporter("jsonl")
def write_jsonl(tagging: Tagging, file: Path) -> None:
    """A line a picture, with its labels as zerotag's own data sets have them, and its tags in full."""
    with file.open("w", encoding="utf-8") as opened:
        for one in tagging.pictures:
            line = {"path": one.path, "labels": [tag.label for tag in one.tags], "tags": [vars(t) for t in one.tags]}
            opened.write(_json(line) + "\n")


@exporter("parquet")
def write_parquet(tagging: Tagging, file: Path) -> None:
    """A row a tag, as in CSV."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingPackageError("pyarrow", "formats", "Parquet") from error
    kinds = {"path": pa.string(), "label": pa.string(), "score": pa.float32(), "seen": pa.bool_()}
    schema = pa.schema([*kinds.items(), ("confidence", pa.float32())])
    with pq.ParquetWriter(file, schema) as table:
        rows: list[dict[str, Any]] = []
        for row in _rows(tagging):
            rows.append(row)
            if len(rows) == ROWS_AT_ONCE:
                table.write_table(pa.Table.from_pylist(rows, schema))
                rows = []
        table.write_table(pa.Table.from_pylist(rows, schema))


@exporter("coco")
def write_coco(tagging: Tagging, file: Path) -> None:
    """COCO's JSON: each tag an annotation whose box is the whole picture, with its ``score``."""
    number = {label: index for index, label in enumerate(tagging.labels, start=1)}
    annotations = file.with_name(f"{file.name}.annotations")
    try:
        with file.open("w", encoding="utf-8") as opened, annotations.open("w+", encoding="utf-8") as aside:
            opened.write('{"images": ')
            count = 0

            def images() -> Iterator[dict[str, Any]]:
                nonlocal count
                for index, one in enumerate(tagging.pictures, start=1):
                    yield {"id": index, "file_name": one.path, "width": one.width, "height": one.height}
                    for tag in one.tags:
                        count += 1
                        box = {"bbox": [0, 0, one.width, one.height], "area": one.width * one.height, "iscrowd": 0}
                        score = tag.score if tag.confidence is None else tag.confidence
                        plain = {"id": count, "image_id": index, "category_id": number[tag.label], "score": score}
                        aside.write(("" if count == 1 else ",\n") + json.dumps(plain | box))

            _write_list(opened, images())
            categories = [{"id": index, "name": label} for label, index in number.items()]
            opened.write(f', "categories": {_json(categories)}, "annotations": [\n')
            aside.seek(0)
            while text := aside.read(2**20):
                opened.write(text)
            opened.write("]}\n")
    finally:
        annotations.unlink(missing_ok=True)


@exporter("label-studio")
def write_label_studio(tagging: Tagging, file: Path) -> None:
    """Tasks with predictions for Label Studio: a ``Choices`` called tags on an ``Image`` called image.

    Pictures are named as local storage names them, relative to its root, which is to be the folder.
    """

    def tasks() -> Iterator[dict[str, Any]]:
        for one in tagging.pictures:
            choices = {"from_name": "tags", "to_name": "image", "type": "choices"}
            result = choices | {"value": {"choices": [tag.label for tag in one.tags]}}
            prediction: dict[str, Any] = {"model_version": tagging.model, "result": [result] if one.tags else []}
            if one.tags and one.tags[0].confidence is not None:
                prediction["score"] = sum(tag.confidence or 0 for tag in one.tags) / len(one.tags)
            yield {"data": {"image": f"/data/local-files/?d={quote(one.path)}"}, "predictions": [prediction]}

    with file.open("w", encoding="utf-8") as opened:
        _write_list(opened, tasks())


@exporter("fiftyone")
def write_fiftyone(tagging: Tagging, file: Path) -> None:
    """``labels.json`` of FiftyOne's type FiftyOneImageClassificationDataset, several labels a picture."""
    with file.open("w", encoding="utf-8") as opened:
        opened.write('{"labels": {')
        for index, one in enumerate(tagging.pictures):
            targets = [
                {"label": tag.label, "confidence": tag.confidence, "attributes": {"score": tag.score}}
                for tag in one.tags
            ]
            opened.write(f"{',' if index else ''}\n{json.dumps(one.absolute)}: {json.dumps(targets)}")
        opened.write("}}\n")


def _json(data: Any) -> str:
    """Readable JSON without characters that a terminal would obey, or that end a line to some programs."""
    return in_json(json.dumps(data, ensure_ascii=False))


def _write_list(opened: TextIO, items: Iterable[Any]) -> None:
    opened.write("[")
    for index, item in enumerate(items):
        opened.write(f"{',' if index else ''}\n{_json(item)}")
    opened.write("]")
