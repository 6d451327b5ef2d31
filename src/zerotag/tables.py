"""Tables that the command line prints."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from zerotag.doctor import Finding
from zerotag.evaluation import Evaluation
from zerotag.tagging.folder import TaggedFolder


def reports(evaluation: Evaluation) -> Table:
    """One row a setting, beside what a random order would get; figures in percent."""
    table = Table(title=f"protocol {evaluation.protocol}, figures in percent")
    ks = sorted(next(iter(evaluation.reports.values())).at_k)
    headings = [f"{name}@{k}" for k in ks for name in ("P", "R", "F1")]
    for heading in ("setting", "labels", "images", "mAP", "chance", *headings, "Q"):
        table.add_column(heading, justify="left" if heading == "setting" else "right")
    for setting, report in evaluation.reports.items():
        figures = [f"{100 * value:.1f}" for k in ks for value in report.at_k[k]]
        table.add_row(
            setting,
            str(report.num_labels),
            str(report.num_images),
            f"{100 * report.mean_average_precision:.2f}",
            f"{100 * report.chance.mean_average_precision:.2f}",
            *figures,
            f"{report.positives_per_image[ks[0]]:.2f}",
        )
    return table


def tagged_pictures(tagged: TaggedFolder) -> Table:
    """One row a picture; labels that the model was not trained on carry a star."""
    table = Table(caption="* a label without a training picture; the number is a raw score, not a confidence")
    table.add_column("picture")
    table.add_column("labels, best first")
    for path, tags in tagged.tags.items():
        table.add_row(path, ", ".join(f"{t.label}{'' if t.seen else '*'} {t.score:.2f}" for t in tags))
    return table


def models(summaries: dict[str, str], recipes: Sequence[str]) -> Table:
    """Registered models, and the recipes of each."""
    table = Table()
    for heading in ("model", "what it is", "recipes"):
        table.add_column(heading)
    for name, summary in summaries.items():
        own = [recipe.removesuffix(".yaml") for recipe in recipes if recipe.startswith(f"{name}-")]
        table.add_row(name, summary, "\n".join(own))
    return table


def findings(found: Sequence[Finding]) -> Table:
    """What the doctor saw."""
    table = Table()
    for heading in ("what", "state", "detail"):
        table.add_column(heading)
    for finding in found:
        colour = {"ok": "green", "missing": "yellow", "failed": "red"}[finding.state]
        table.add_row(finding.name, f"[{colour}]{finding.state}[/{colour}]", finding.detail)
    return table
