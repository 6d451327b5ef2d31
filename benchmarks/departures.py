"""What each departure of the fast recipe from the paper brings: the recipe with one of them taken back at a time.

Run: python benchmarks/departures.py [--seeds 2] [--out runs/departures]

It runs on pocket-scenes-dev, which holds no emoji of the test scenes: by these figures the settings were chosen.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pocket_scenes import COLUMNS, figures, judged, row

RECIPE = "gbe-pocket-scenes-fast"
TAKEN_BACK = {
    "the fast recipe": [],
    "vectors of their own lengths (eq. 12)": ["model.options.unit_vectors=false"],
    "no superposed pictures": ["optimiser.superpose=0"],
    "LeakyReLU of slope 0.2 (eq. 12)": ["model.options.leaky_slope=0.2"],
    "graph started at random": ["model.options.graph_start=random"],
    "maximum over positions": ["model.options.pooling=max"],
    "λ = 0.1 (eq. 17)": ["model.options.regularisation=0.1"],
    "label vectors not centred": ["vectors.centre=false"],
    "without fusion (ML-FEF)": ["model.options.fusion=false"],
    "without GEM": ["model.options.gem=false"],
    "without graph (GLA)": ["model.options.graph=false"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/departures"))
    given = parser.parse_args()
    print(
        f"| taken back, {given.seeds} seeds | " + " | ".join(COLUMNS) + " |", "|---|" + "---:|" * len(COLUMNS), sep="\n"
    )
    for number, (name, changes) in enumerate(TAKEN_BACK.items()):
        data = ["data=pocket-scenes-dev", *changes]
        found = [judged(RECIPE, data, seed, given.out / f"{number}-seed{seed}") for seed in range(given.seeds)]
        print(row(name, [figures(*one) for one in found]), flush=True)


if __name__ == "__main__":
    main()
