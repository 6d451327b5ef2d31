"""Table III: GBE without its modules, and with them one after the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zerotag.harness.jobs import Variant
from zerotag.studies import records
from zerotag.studies.request import Request

MODULES = {"fusion": "ML-FEF", "lid": "LID", "gem": "GEM", "graph": "GLA"}
ROWS = {
    "a": (),
    "b": ("fusion",),
    "c": ("fusion", "lid"),
    "d": ("fusion", "gem"),
    "e": ("fusion", "lid", "graph"),
    "f": ("fusion", "gem", "graph"),
    "ours": ("fusion", "lid", "gem", "graph"),
}
SETTINGS = ("zsl", "gzsl")


def make(request: Request) -> list[Path]:
    """Train the seven rows of Table III from the studied recipe of GBE, and write ``ablation``."""
    variants = [
        Variant(
            f"{request.method}-{row}",
            request.method,
            tuple(f"model.options.{module}={'true' if module in on else 'false'}" for module in MODULES),
        )
        for row, on in ROWS.items()
    ]
    rows = request.trained(variants, SETTINGS)
    summaries = records.summaries_by_setting(rows, SETTINGS)
    stem = request.folder / "ablation"
    table = [
        row | {MODULES[module]: module in ROWS[row["name"].removeprefix(f"{request.method}-")] for module in MODULES}
        for row in records.table_rows(summaries)
    ]
    files = records.write_table(stem, table, records.settings_of(rows))
    with records.figure(6.3, 2.8, stem, files) as drawn:
        axes = drawn.subplots()
        places = np.arange(len(ROWS))
        for number, setting in enumerate(SETTINGS):
            shown = [summary.figures.get("mAP") for summary in summaries[setting].values()]
            axes.bar(
                places + 0.4 * number - 0.2,
                [records.percent(value) or 0 for value in shown],
                0.36,
                yerr=[records.half_percent(value) or np.nan for value in shown],
                color=records.COLOURS[number],
                label=setting.upper(),
                capsize=2,
            )
        names = ["\n".join([row, *(MODULES[module] for module in on)]) for row, on in ROWS.items()]
        axes.set_xticks(places, names)
        axes.set_ylabel("mAP, %")
        axes.grid(visible=False, axis="x")
        axes.legend(frameon=False)
    return files
