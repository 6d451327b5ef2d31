"""How a study's numbers and figures are kept: CSV, JSON with the settings, PNG and PDF."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zerotag.harness.comparison import Interval, Summary, summarise
from zerotag.labels import as_cell
from zerotag.storage import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from zerotag.harness.bench import Row

DPI = 200
COLOURS = ("#b4232a", "#2a3f9d", "#0b6e4f", "#b7791f")
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.axisbelow": True,
    "figure.constrained_layout.use": True,
    "pdf.fonttype": 42,
}


@contextmanager
def figure(width: float, height: float, stem: Path, files: list[Path]) -> Iterator[Figure]:
    """A figure of so many inches, written as PNG and PDF when it is done; the files are added to ``files``."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        drawn = Figure(figsize=(width, height))
        yield drawn
        for suffix in (".png", ".pdf"):
            content = io.BytesIO()
            drawn.savefig(content, format=suffix[1:], dpi=DPI)
            write_atomically(stem.with_suffix(suffix), content.getvalue())
            files.append(stem.with_suffix(suffix))


def write_table(stem: Path, rows: Sequence[dict[str, Any]], settings: dict[str, Any]) -> list[Path]:
    """The rows as CSV, and as JSON with the settings they come from."""
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(
        {name: as_cell(cell) if isinstance(cell, str) else cell for name, cell in row.items()} for row in rows
    )
    write_atomically(stem.with_suffix(".csv"), text.getvalue())
    write_atomically(stem.with_suffix(".json"), json.dumps({"rows": rows, "settings": settings}, indent=1))
    return [stem.with_suffix(".csv"), stem.with_suffix(".json")]


def settings_of(rows: Sequence[Row]) -> dict[str, Any]:
    """Settings of each method, of its first seed."""
    found: dict[str, Any] = {}
    for row in rows:
        found.setdefault(row.job.method, row.job.settings.model_dump())
    return found


def summaries_by_setting(rows: Sequence[Row], settings: Sequence[str]) -> dict[str, dict[str, Summary]]:
    """Summaries by setting and name, in the order in which the rows were asked for."""
    order = {name: number for number, name in enumerate(dict.fromkeys(row.job.method for row in rows))}
    return {
        setting: {s.method: s for s in sorted(summarise(rows, setting), key=lambda s: order[s.method])}
        for setting in settings
    }


def table_rows(summaries: dict[str, dict[str, Summary]]) -> list[dict[str, Any]]:
    """One row a setting and name: all figures in percent with their intervals, or the reason for having none."""
    found = []
    for setting, by_name in summaries.items():
        for name, summary in by_name.items():
            row: dict[str, Any] = {"setting": setting, "name": name, "seeds": summary.num_seeds}
            for figure_name in ("mAP", "P@3", "R@3", "F1@3", "P@5", "R@5", "F1@5"):
                value = summary.figures.get(figure_name)
                row |= {figure_name: percent(value), f"{figure_name} ±": half_percent(value)}
            found.append(row | {"failure": "; ".join(summary.failures)})
    return found


def percent(value: Interval | None) -> float | None:
    """The mean in percent."""
    return None if value is None else round(100 * value.mean, 2)


def half_percent(value: Interval | None) -> float | None:
    """Half of the interval in percent; None with one seed."""
    return None if value is None or value.low != value.low else round(100 * value.half, 2)
