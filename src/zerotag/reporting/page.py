"""One self-contained HTML page about trained runs: figures, pictures, heat maps, curves, settings."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import yaml
from PIL import Image, ImageDraw

from zerotag.datasets import TEST, TRAIN, PictureDataset, load_dataset
from zerotag.errors import ZerotagError, visible_lines
from zerotag.heatmaps import overlay
from zerotag.images import open_picture
from zerotag.progress import Progress, silent
from zerotag.storage import write_atomically
from zerotag.tagging.tagger import Tag, Tagger
from zerotag.training.results import FILE, evaluate_again, read_results
from zerotag.training.run import Run, last_epoch, load_run

NUM_PICTURES, TOP_K = 12, 10
NUM_HEAT_MAPS, SEARCHED_PICTURES, UNSEEN_TOP_K = 9, 200, 3
PICTURE_PX = 224


@dataclass(frozen=True)
class TaggedPicture:
    """A test picture with its best labels and those that are right."""

    uri: str
    tags: list[Tag]
    right: frozenset[str]


@dataclass(frozen=True)
class HeatMap:
    """Where a picture's score for an unseen label comes from, and the boxes of the objects that carry it."""

    label: str
    picture_uri: str
    overlay_uri: str


def write_report(folders: Sequence[Path], out: Path, *, progress: Progress = silent) -> None:
    """Write the page; the first run is shown in depth, the others stand beside it in the tables.

    Raises:
        ZerotagError: a run is not finished or was not evaluated, or the runs differ in data or labels.
    """
    runs = [load_run(folder) for folder in folders]
    results = [_results(run) for run in runs]
    first = runs[0]
    for run in runs[1:]:
        if (run.settings.data, run.labels) != (first.settings.data, first.labels):
            raise ZerotagError(
                f"{run.folder} and {first.folder} have other data or another label split (seed), "
                "so their figures cannot stand in one table"
            )
    dataset = load_dataset(first.settings.data)
    tagger = Tagger.load(first.folder)
    test = dataset.split(TEST)
    page = _template().render(
        runs=runs,
        results=results,
        names=[run.settings.model.name for run in runs],
        settings=list(results[0]["settings"]),
        pictures=tagged_pictures(tagger, test, progress),
        heat_maps=heat_maps(tagger, test, progress) if tagger.network.model.has_heat_maps else [],
        unseen_labels=_unseen_labels(results[0]),
        curves=[_curve(run) for run in runs],
        yaml=[yaml.safe_dump(run.settings.model_dump(), sort_keys=False) for run in runs],
        attribution=_attribution(dataset),
        num_train=dataset.splits.count(TRAIN),
    )
    write_atomically(out, page)


def tagged_pictures(tagger: Tagger, test: PictureDataset, progress: Progress = silent) -> list[TaggedPicture]:
    """The first test pictures, not chosen, with the labels that the model ranks highest among all."""
    number = min(NUM_PICTURES, len(test.paths))
    pictures = [open_picture(test.picture(i)) for i in range(number)]
    tags = tagger.tag(pictures, top_k=TOP_K)
    progress("Tagging pictures", number, number)
    return [
        TaggedPicture(_uri(picture), best, test.labels_of(i))
        for i, (picture, best) in enumerate(zip(pictures, tags, strict=True))
    ]


def heat_maps(tagger: Tagger, test: PictureDataset, progress: Progress = silent) -> list[HeatMap]:
    """Maps of unseen labels that the model ranked among the best three unseen ones and that are right.

    The first such pictures are taken, one for each label.
    """
    unseen = tagger.labels.unseen
    number = min(SEARCHED_PICTURES, len(test.paths))
    if not unseen:
        return []
    best = tagger.tag([test.picture(i) for i in range(number)], unseen, top_k=UNSEEN_TOP_K)
    found: dict[str, HeatMap] = {}
    for i in range(number):
        right = test.labels_of(i)
        label = next((t.label for t in best[i] if t.label in right and t.label not in found), None)
        if label is None or len(found) == NUM_HEAT_MAPS:
            continue
        picture = open_picture(test.picture(i))
        coloured = overlay(picture, tagger.heat_maps(picture, [label])[0])
        found[label] = HeatMap(label, _uri(picture), _uri(_outlined(coloured, test, i, label)))
        progress("Drawing heat maps", len(found), NUM_HEAT_MAPS)
    return list(found.values())


def _results(run: Run) -> dict[str, Any]:
    results = read_results(run.folder / FILE, evaluate_again(run.folder))
    if results is None:
        raise ZerotagError(f"{run.folder} was not evaluated; run: zerotag eval {run.folder}")
    return results


def _unseen_labels(result: dict[str, Any]) -> list[dict[str, Any]]:
    rows = [row for row in next(iter(result["settings"].values()))["per_label"] if not row["seen"]]
    return sorted(rows, key=lambda row: -(row["average_precision"] or 0))


def _outlined(picture: Image.Image, dataset: PictureDataset, index: int, label: str) -> Image.Image:
    drawing = ImageDraw.Draw(picture)
    for thing in dataset.objects[index] if dataset.objects else ():
        if label in thing.labels:
            corners = [share * side for share, side in zip(thing.box, picture.size * 2, strict=True)]
            drawing.rectangle(corners, outline="white", width=2)
    return picture


def _uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    small = picture.copy()
    small.thumbnail((PICTURE_PX, PICTURE_PX))
    small.save(buffer, "webp", quality=85)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _curve(run: Run) -> dict[str, Any]:
    """Values over epochs, each as a share of its highest one."""
    curve: dict[str, Any] = {"seconds": last_epoch(run)["seconds"]}
    log = run.log()
    for name in ("loss", "held_out_map"):
        values = [line[name] for line in log if name in line]
        highest = max(values, default=0)
        curve[name] = {"shares": [value / (highest or 1) for value in values], "highest": highest}
        if values:
            curve[name] |= {"first": values[0], "last": values[-1]}
    return curve


def _attribution(dataset: PictureDataset) -> str:
    file = dataset.root / "ATTRIBUTION.md"
    return file.read_text() if file.exists() else ""


def readable(value: Any) -> Any:
    """A value as a page shows it: what nobody would see is escaped."""
    return visible_lines(value) if type(value) is str else value


def _template() -> jinja2.Template:
    loader = jinja2.PackageLoader("zerotag.reporting", "")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, finalize=readable
    )
    return environment.get_template("page.html")
