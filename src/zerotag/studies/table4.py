"""Table IV: multi-label classification, all labels trained and all ranked, by every method."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zerotag.harness.jobs import default_variants
from zerotag.studies import records
from zerotag.studies.request import Request

SETTINGS = ("multilabel",)


def make(request: Request) -> list[Path]:
    """Train every method with all labels seen, and write ``table4``; the studied method is drawn in colour."""
    rows = request.trained(default_variants(), SETTINGS)
    summaries = records.summaries_by_setting(rows, SETTINGS)
    stem = request.folder / "table4"
    files = records.write_table(stem, records.table_rows(summaries), records.settings_of(rows))
    shown = sorted(
        (summary for summary in summaries["multilabel"].values() if summary.figures),
        key=lambda summary: summary.figures["mAP"].mean,
    )
    with records.figure(6.3, 3.6, stem, files) as drawn:
        axes = drawn.subplots()
        axes.barh(
            [summary.method for summary in shown],
            [records.percent(summary.figures["mAP"]) or 0 for summary in shown],
            xerr=[records.half_percent(summary.figures["mAP"]) or np.nan for summary in shown],
            color=[records.COLOURS[0] if summary.method == request.method else "#98a2b3" for summary in shown],
            capsize=2,
        )
        axes.axvline(100 * shown[0].chance, color="grey", linestyle=":", label="chance")
        axes.set_xlabel("mAP, %")
        axes.grid(visible=False, axis="y")
        axes.legend(frameon=False, loc="lower right")
    return files
