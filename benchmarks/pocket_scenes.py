"""Recipes over several seeds on pocket-scenes: means and standard deviations of the test figures.

Run: python benchmarks/pocket_scenes.py [--recipes NAME ...] [--seeds 5] [--out runs/benchmarks]

The split of the pictures is fixed; the seed draws the unseen labels, the first weights and the order of the pictures.
Runs that are there are not trained again; one that was stopped goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from zerotag.cli import progress_bars
from zerotag.evaluation import Evaluation, evaluate_run
from zerotag.memory import keep_freed_memory
from zerotag.training.loop import train
from zerotag.training.settings import load_settings

RECIPES = ["gbe-fast", "fast0tag-fast"]
COLUMNS = ("ZSL mAP", "ZSL F1@3", "GZSL mAP", "GZSL F1@3", "pointing game")


def figures(evaluation: Evaluation) -> list[float]:
    zsl, gzsl = evaluation.reports["zsl"], evaluation.reports["gzsl"]
    game = evaluation.pointing_game
    shares = [of for r in (zsl, gzsl) for of in (r.mean_average_precision, r.at_k[3].f1)]
    return [*(100 * share for share in shares), 100 * game.accuracy if game else np.nan]


def chances(evaluation: Evaluation) -> list[float]:
    zsl, gzsl = (evaluation.reports[setting].chance for setting in ("zsl", "gzsl"))
    game = evaluation.pointing_game
    shares = [of for c in (zsl, gzsl) for of in (c.mean_average_precision, c.at_k[3].f1)]
    return [*(100 * share for share in shares), 100 * game.chance if game else np.nan]


def row(name: str, values: list[list[float]], digits: int = 1) -> str:
    """Means over seeds, with standard deviations where there are several seeds."""
    table = np.array(values)
    means = [f"{mean:.{digits}f}" for mean in table.mean(0)]
    if len(table) > 1:
        means = [f"{mean} ± {deviation:.{digits}f}" for mean, deviation in zip(means, table.std(0), strict=True)]
    cells = ["–" if np.isnan(column).any() else mean for mean, column in zip(means, table.T, strict=True)]
    return f"| {name} | " + " | ".join(cells) + " |"


def judged(name: str, changes: list[str], seed: int, folder: Path) -> Evaluation:
    """A recipe, changed, trained and judged; nothing is done twice."""
    with progress_bars() as progress:
        train(load_settings(name, [*changes, f"seed={seed}"]), folder, resume=True, progress=progress)
        return evaluate_run(folder, progress=progress)


def main() -> None:
    keep_freed_memory()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmarks"))
    given = parser.parse_args()
    lines = [f"| recipe, {given.seeds} seeds | " + " | ".join(COLUMNS) + " |", "|---|" + "---:|" * len(COLUMNS)]
    chance: list[list[float]] = []
    for name in given.recipes:
        found = [judged(name, [], seed, given.out / f"{name}-seed{seed}") for seed in range(given.seeds)]
        lines.append(row(name, [figures(one) for one in found]))
        chance = chance or [chances(one) for one in found]
    print("\n".join([*lines, row("chance", chance)]))


if __name__ == "__main__":
    main()
