"""Table IV: multi-label classification, all labels trained and all ranked, by every method."""

from __future__ import annotations

from pathlib import Path

from zerotag.harness.jobs import Variant, default_methods
from zerotag.studies.records import (
    COLOURS,
    figure,
    half_percent,
    percent,
    settings_of,
    summaries_by_setting,
    table_rows,
    write_table,
)
from zerotag.studies.request import Request

SETTINGS = ("multilabel",)


def make(request: Request) -> list[Path]:
    """Train every method with all labels seen, and write ``table4``; the studied method is drawn in colour."""
    rows = request.trained([Variant.named(method) for method in default_methods()], SETTINGS)
    summaries = summaries_by_setting(rows, SETTINGS)
    stem = request.folder / "table4"
    files = write_table(stem, table_rows(summaries), settings_of(rows))
    shown = sorted(
        (summary for summary in summaries["multilabel"].values() if summary.figures),
        key=lambda summary: summary.figures["mAP"].mean,
    )
    with figure(6.3, 3.6, stem, files) as drawn:
        axes = drawn.subplots()
        axes.barh(
            [summary.method for summary in shown],
            [percent(summary.figures["mAP"]) or 0 for summary in shown],
            xerr=[half_percent(summary.figures["mAP"]) or 0 for summary in shown],
            color=[COLOURS[0] if summary.method == request.method else "#98a2b3" for summary in shown],
            capsize=2,
        )
        axes.axvline(100 * shown[0].chance, color="grey", linestyle=":", label="chance")
        axes.set_xlabel("mAP, %")
        axes.grid(visible=False, axis="y")
        axes.legend(frameon=False, loc="lower right")
    return files
