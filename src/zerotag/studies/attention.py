"""Fig. 7: where in a picture an unseen label comes from, and how often that is the object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from zerotag.datasets import TEST, load_dataset
from zerotag.errors import ZerotagError, visible
from zerotag.harness.jobs import Variant, default_variants
from zerotag.harness.methods import method_settings
from zerotag.heatmaps import overlay
from zerotag.images import open_picture
from zerotag.models import MODELS
from zerotag.studies.records import figure, half_percent, percent, settings_of, summaries_by_setting, write_table
from zerotag.studies.request import Request
from zerotag.tagging.tagger import Tagger

NUM_PICTURES, NUM_MAPS = 4, 3


def make(request: Request) -> list[Path]:
    """Draw maps of unseen labels that pictures have, and write ``attention``.

    Pictures are the first test pictures with three unseen labels, whatever the model makes of them. Where the data
    know boxes the pointing game is played by every method that keeps positions.

    Raises:
        ZerotagError: the studied method keeps no positions, or no test picture has an unseen label.
    """
    settings = method_settings(request.method, request.data, request.changes)
    if not MODELS[settings.model.name].has_heat_maps:
        raise ZerotagError(f"method {request.method} keeps no positions of the picture, so it has no heat maps")
    run = request.run_of_method()
    dataset = load_dataset(request.data)
    files = []
    if dataset.objects is not None:
        files += _pointing_games(request)

    tagger = Tagger.load(run)
    unseen = set(tagger.labels.unseen)
    found = {row: sorted(dataset.labels_of(row) & unseen) for row in dataset.rows(TEST).tolist()}
    chosen = {row: labels[:NUM_MAPS] for row, labels in found.items() if len(labels) >= NUM_MAPS}
    chosen = dict(list((chosen or {row: labels for row, labels in found.items() if labels}).items())[:NUM_PICTURES])
    if not chosen:
        raise ZerotagError(f"no test picture of {dataset.root} has an unseen label")
    with figure(1.5 * (NUM_MAPS + 1), 1.6 * len(chosen), request.folder / "attention", files) as drawn:
        grid = drawn.subplots(len(chosen), NUM_MAPS + 1, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for line, (row, labels) in zip(grid, chosen.items(), strict=True):
            picture = open_picture(dataset.picture(row))
            line[0].imshow(np.asarray(picture))
            for axes, label, heat in zip(line[1:], labels, tagger.heat_maps(picture, labels), strict=False):
                axes.imshow(np.asarray(overlay(picture, heat)))
                axes.set_title(visible(label), fontsize=8, parse_math=False)
                for left, top, right, bottom in _boxes(dataset.objects, row, label):
                    corner = (left * picture.width, top * picture.height)
                    _outline(axes, corner, (right - left) * picture.width, (bottom - top) * picture.height)
    return files


def _pointing_games(request: Request) -> list[Path]:
    variants = {variant.method: variant for variant in [Variant.named(request.method), *default_variants()]}
    rows = request.trained([v for v in variants.values() if _has_heat_maps(v, request.data)], ["zsl"])
    summaries = summaries_by_setting(rows, ["zsl"])["zsl"]
    chance = next(row.outcome["pointing_game"]["chance"] for row in rows if row.outcome)
    table = [
        {
            "method": name,
            "seeds": summary.num_seeds,
            "pointing_game": percent(summary.pointing_game),
            "±": half_percent(summary.pointing_game),
            "chance": round(100 * chance, 2),
            "failure": "; ".join(summary.failures),
        }
        for name, summary in summaries.items()
    ]
    return write_table(request.folder / "attention", table, settings_of(rows))


def _has_heat_maps(variant: Variant, data: str) -> bool:
    return MODELS[method_settings(variant.method, data).model.name].has_heat_maps


def _boxes(objects: Any, row: int, label: str) -> list[tuple[float, float, float, float]]:
    return [thing.box for thing in objects[row] if label in thing.labels] if objects else []


def _outline(axes: Any, corner: tuple[float, float], width: float, height: float) -> None:
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle(corner, width, height, fill=False, edgecolor="white", linewidth=1))
