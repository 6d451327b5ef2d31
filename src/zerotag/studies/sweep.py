"""Fig. 6: one hyper-parameter of GBE over a range, all else as in the recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from zerotag.harness.jobs import Variant
from zerotag.studies import records
from zerotag.studies.request import Request

GROUPS: tuple[int, ...] = (1, 4, 8, 16, 25, 32)
LAMBDAS: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5, 0.75, 1.0)
SETTINGS = ("zsl", "gzsl")


def make_groups(request: Request) -> list[Path]:
    """Sweep the number of groups n, and write ``groups``."""
    return _sweep(request, "groups", "num_groups", GROUPS, "number of groups n")


def make_lambda(request: Request) -> list[Path]:
    """Sweep λ, the weight of the regulariser, and write ``lambda``; at 1 nothing of the ranking loss is left."""
    return _sweep(request, "lambda", "regularisation", LAMBDAS, "weight of the regulariser λ")


def _sweep(request: Request, name: str, option: str, values: Sequence[int] | Sequence[float], axis: str) -> list[Path]:
    variants = [
        Variant(f"{request.method}-{name}-{value}", request.method, (f"model.options.{option}={value}",))
        for value in values
    ]
    rows = request.trained(variants, SETTINGS)
    summaries = records.summaries_by_setting(rows, SETTINGS)
    by_name = {variant.name: value for variant, value in zip(variants, values, strict=True)}
    stem = request.folder / name
    table = [{option: by_name[row["name"]]} | row for row in records.table_rows(summaries)]
    files = records.write_table(stem, table, records.settings_of(rows))
    with records.figure(6.3, 2.6, stem, files) as drawn:
        for number, (setting, axes) in enumerate(zip(SETTINGS, drawn.subplots(1, 2), strict=True)):
            shown = {by_name[s.method]: s for s in summaries[setting].values() if s.figures}
            means = [records.percent(summary.figures["mAP"]) for summary in shown.values()]
            halves = [records.half_percent(summary.figures["mAP"]) or np.nan for summary in shown.values()]
            axes.errorbar(list(shown), means, halves, color=records.COLOURS[number], marker="o", capsize=2)
            chance = [100 * summary.chance for summary in shown.values()]
            axes.plot(list(shown), chance, color="grey", linestyle=":", label="chance")
            axes.set(title=setting.upper(), xlabel=axis, ylabel="mAP, %", ylim=(0, None))
            axes.legend(frameon=False)
    return files
