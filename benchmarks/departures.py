"""What each departure of the fast recipe from the paper brings: the recipe with one of them taken back at a time.

Run: python benchmarks/departures.py [--seeds 1] [--out runs/departures]

It runs on pocket-scenes-dev, which holds no emoji of the test scenes: by its figures the settings were chosen. Four
epochs, half of the channels and 7 groups let a row take one to three minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from zerotag.cli import progress_bars
from zerotag.harness.bench import bench
from zerotag.harness.comparison import Interval, summarise
from zerotag.harness.jobs import Variant
from zerotag.reporting.bench_page import spread

RECIPE, DATA = "gbe-fast", "pocket-scenes-dev"
START = (
    "backbone.size_px=288",
    "model.options.num_groups=7",
    "model.options.fusion_channels=256",
    "optimiser.epochs=4",
)
SETTINGS, FIGURES = ("zsl", "gzsl"), ("mAP", "F1@3")
TAKEN_BACK = {
    "nothing": [],
    "nothing, but 16 groups": ["model.options.num_groups=16"],
    "pictures of 288 pixels on a grid of 9: 224 on 7": ["backbone.size_px=224", "model.options.grid=7"],
    "vectors of one learned length: lengths as they come (eq. 12)": ["model.options.unit_vectors=false"],
    "whole picture in the global vector: maps alone (eq. 10)": ["model.options.whole_picture=false"],
    "within the span of the trained labels: whole label vectors (eq. 13)": ["model.options.within_span=false"],
    "superposed pictures: none": ["optimiser.superpose=0"],
    "linear graph: LeakyReLU of slope 0.2 (eq. 12)": ["model.options.leaky_slope=0.2"],
    "graph started at identity: at random": ["model.options.graph_start=random"],
    "λ = 0: 0.1 (eq. 17)": ["model.options.regularisation=0.1"],
    "label vectors centred: as they come": ["vectors.centre=false"],
    "AdamW, one cycle up to 1e-3: Adam, 1e-4, divided by ten after epoch 2": [
        "optimiser.name=adam",
        "optimiser.learning_rate=1.0e-4",
        "optimiser.weight_decay=4.0e-3",
        "optimiser.schedule=steps",
        "optimiser.milestones=[2]",
    ],
    "maps brought to the grid first: screened first (Fig. 3)": ["model.options.pool_first=false"],
    "attention over positions: maximum (III-C)": ["model.options.pooling=max"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/departures"))
    given = parser.parse_args()
    variants = [
        Variant(f"departure-{number}", RECIPE, (*START, *changes)) for number, changes in enumerate(TAKEN_BACK.values())
    ]
    with progress_bars() as progress:
        rows = bench(DATA, variants, given.out, num_seeds=given.seeds, settings=SETTINGS, progress=progress)
    found = {setting: {summary.method: summary for summary in summarise(rows, setting)} for setting in SETTINGS}
    columns = [f"{setting.upper()} {figure}" for setting in SETTINGS for figure in FIGURES]
    print(f"| taken back, seeds: {given.seeds} | " + " | ".join([*columns, "pointing game"]) + " |")
    print("|---|" + "---:|" * (len(columns) + 1))
    for variant, name in zip(variants, TAKEN_BACK, strict=True):
        values: list[Interval | None] = [
            found[setting][variant.name].figures.get(figure) for setting in SETTINGS for figure in FIGURES
        ]
        values.append(found["zsl"][variant.name].pointing_game)
        print(f"| {name} | " + " | ".join("–" if value is None else spread(value) for value in values) + " |")


if __name__ == "__main__":
    main()
