"""A bench as a page and as Markdown: who ranks best, by how much, how sure that is, and what it costs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import yaml

from zerotag.harness.bench import Row
from zerotag.harness.comparison import REFERENCE, Interval, Summary, summarise
from zerotag.harness.results import write_parquet
from zerotag.labels import SETTINGS
from zerotag.reporting.page import readable
from zerotag.storage import write_atomically
from zerotag.training.run import current_versions


@dataclass(frozen=True)
class Verdict:
    """In one setting, how the best row of the reference's model stands to the best of the other methods."""

    best_own: str
    best_other: str
    lead: float
    is_clear: bool | None

    @property
    def relative(self) -> str:
        """The lead as a share of the other's figure, in words."""
        return f"{abs(100 * self.lead):.0f} % {'above' if self.lead >= 0 else 'below'}"


def write_bench(rows: Sequence[Row], folder: Path, command: str) -> tuple[Path, Path]:
    """Write ``bench.md``, ``bench.html`` and ``results.parquet``, and return the first two.

    Args:
        rows: all jobs of the bench.
        folder: where to.
        command: what the reader may type to get the same.

    Raises:
        MissingPackageError: pyarrow is not installed.
    """
    write_parquet(rows, folder / "results.parquet")
    tables = {setting: summarise(rows, setting) for setting in SETTINGS if _asked(rows, setting)}
    context = {
        "tables": tables,
        "costs": _first_of_each_method(tables.values()),
        "models": {row.job.method: row.job.settings.model.name for row in rows},
        "verdicts": {setting: verdict(found, rows) for setting, found in tables.items()},
        "data": rows[0].job.settings.data,
        "protocol": _protocol(rows),
        "num_seeds": len({row.job.settings.seed for row in rows}),
        "command": command,
        "reference": REFERENCE,
        "settings_of": _settings_by_method(rows),
        "versions": {n: v for n, v in current_versions(REFERENCE).items() if n != "source"},
    }
    files = folder / "bench.md", folder / "bench.html"
    for file in files:
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("zerotag.reporting", ""),
            autoescape=file.suffix == ".html",
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=readable,
        )
        environment.filters |= {"spread": spread, "signed": signed, "standing": standing}
        write_atomically(file, environment.get_template(file.name).render(context))
    return files


def verdict(summaries: Sequence[Summary], rows: Sequence[Row]) -> Verdict | None:
    """None where there is no row of the reference's model, or no other."""
    own = {row.job.method for row in rows if row.job.settings.model.name == REFERENCE}
    done = [summary for summary in summaries if summary.figures]
    ours = [summary for summary in done if summary.method in own]
    others = [summary for summary in done if summary.method not in own]
    if not ours or not others:
        return None
    best, other = ours[0], others[0]
    lead = best.figures["mAP"].mean / other.figures["mAP"].mean - 1
    is_reference = best.method == REFERENCE and other.lead is not None
    return Verdict(best.method, other.method, lead, standing(other.lead) != "" if is_reference else None)


def spread(value: Interval, digits: int = 1) -> str:
    """A mean in percent, with half of its interval where there is one."""
    mean = f"{100 * value.mean:.{digits}f}"
    return mean if np.isnan(value.low) else f"{mean} ± {100 * value.half:.{digits}f}"


def signed(value: Interval | None, digits: int = 1) -> str:
    """A difference in percent points with the bounds of its interval."""
    if value is None:
        return "–"
    return f"{100 * value.mean:+.{digits}f} [{100 * value.low:+.{digits}f}, {100 * value.high:+.{digits}f}]"


def standing(lead: Interval | None) -> str:
    """Whether the interval of a lead is clear of zero: "clear", "worse" where it is below, or ""."""
    if lead is None:
        return ""
    return "clear" if lead.low > 0 else "worse" if lead.high < 0 else ""


def _first_of_each_method(tables: Iterable[Sequence[Summary]]) -> list[Summary]:
    """What a method costs in the first setting that it can do."""
    found: dict[str, Summary] = {}
    for summary in (summary for table in tables for summary in table if summary.figures):
        found.setdefault(summary.method, summary)
    return list(found.values())


def _asked(rows: Sequence[Row], setting: str) -> bool:
    return any(setting in row.job.judged for row in rows)


def _protocol(rows: Sequence[Row]) -> str:
    names = {of["protocol"] for row in rows if row.outcome for of in row.outcome["settings"].values()}
    return ", ".join(sorted(names)) or "–"


def _settings_by_method(rows: Sequence[Row]) -> dict[str, str]:
    """Settings of each method as YAML, of its first seed."""
    found: dict[str, Any] = {}
    for row in rows:
        found.setdefault(row.job.method, json.loads(row.job.settings.model_dump_json(exclude={"seed", "labels"})))
    return {method: yaml.safe_dump(tree, sort_keys=False) for method, tree in found.items()}
