"""What each departure of the fast recipe from the paper brings: the recipe with one of them taken back at a time.

Run: python benchmarks/departures.py [--seeds 1] [--out runs/departures]

It runs on pocket-scenes-dev, which holds no emoji of the test scenes: by its figures the settings were chosen. A third
of the recipe's epochs, and 7 groups, let a row take minutes; pooling by maximum would take an hour.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pocket_scenes import COLUMNS, figures, judged, row
from zerotag.memory import keep_freed_memory

RECIPE = "gbe-fast"
START = ["data=pocket-scenes-dev", "model.options.num_groups=7", "optimiser.epochs=4"]
TAKEN_BACK = {
    "nothing": [],
    "nothing, but 16 groups": ["model.options.num_groups=16"],
    "pictures of 288 pixels on a grid of 9: 224 on 7": ["backbone.size_px=224", "model.options.grid=7"],
    "vectors of one learned length: lengths as they come (eq. 12)": ["model.options.unit_vectors=false"],
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
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/departures"))
    given = parser.parse_args()
    print(f"| taken back, seeds: {given.seeds} | " + " | ".join(COLUMNS) + " |")
    print("|---|" + "---:|" * len(COLUMNS))
    for number, (name, changes) in enumerate(TAKEN_BACK.items()):
        found = [
            judged(RECIPE, [*START, *changes], seed, given.out / f"{number}-seed{seed}") for seed in range(given.seeds)
        ]
        print(row(name, [figures(one) for one in found]), flush=True)


if __name__ == "__main__":
    main()
