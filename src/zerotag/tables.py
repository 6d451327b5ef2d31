"""Tables that the command line prints."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from zerotag.errors import shown
from zerotag.published import Published, doubts, implied_q

if TYPE_CHECKING:  # a command prints one table, and need not wait for the packages behind the others
    from zerotag.datasets.check import DatasetCheck
    from zerotag.evaluation import PointingGame
    from zerotag.findings import Finding
    from zerotag.judgement import Report
    from zerotag.tagging.calibrate import Trust
    from zerotag.tagging.library import Summary
    from zerotag.tagging.search import Match
    from zerotag.tagging.sidecars import SidecarSummary
    from zerotag.tagging.tagger import Tag
    from zerotag.tagging.word_check import WordCheck

WORDS_SHOWN = 12
Q_EXPLAINED = (
    "Q = K·P/R is the mean number of right labels of a picture: it belongs to the pictures and labels alone, so it is "
    "the same for every K and every method. Where it changes, the figures were not counted on the same pictures."
)


class PlainTable(Table):
    """A table that shows names and labels whole and as they are: without markup and emoji codes, escapes escaped."""

    def __init__(self, *, title: str | None = None, caption: str | None = None, **options: Any) -> None:
        super().__init__(title=_lines(title), caption=_lines(caption), **options)

    def add_column(self, header: str, **options: Any) -> None:  # type: ignore[override]  # texts alone
        """Add a column; words that are wider than it go on in the next line."""
        super().add_column(shown(header), **({"overflow": "fold"} | options))

    def add_row(self, *cells: str | Text, **options: Any) -> None:  # type: ignore[override]  # texts alone
        """Add a row."""
        super().add_row(*(Text(shown(cell)) if isinstance(cell, str) else cell for cell in cells), **options)


def _lines(text: str | None) -> Text | None:
    return None if text is None else Text("\n".join(map(shown, text.split("\n"))))


def figures(by_setting: Mapping[str, Report], game: PointingGame | None = None) -> Table:
    """One column a setting, beside what a random order would get; figures in percent."""
    reports = by_setting.values()
    table = PlainTable(title=f"protocol {next(iter(reports)).protocol}, figures in percent")
    table.add_column("figure")
    for setting in by_setting:
        table.add_column(setting, justify="right")
        table.add_column("chance", justify="right", style="dim")

    both = [of for report in reports for of in (report, report.chance)]
    table.add_row("mAP", *(f"{100 * of.mean_average_precision:.2f}" for of in both))
    for k in sorted({k for report in reports for k in report.at_k}):
        for index, name in enumerate(("P", "R", "F1")):
            table.add_row(f"{name}@{k}", *(f"{100 * of.at_k[k][index]:.2f}" if k in of.at_k else "–" for of in both))
    table.add_section()
    counted = {
        "labels": [report.num_labels for report in reports],
        "labels without positives": [report.labels_without_positives for report in reports],
        "images N": [report.num_images for report in reports],
        "images dropped": [report.num_dropped for report in reports],
    }
    for name, numbers in counted.items():
        if any(numbers):
            table.add_row(name, *(cell for number in numbers for cell in (f"{number}", "")))
    q = [f"{report.positives_per_image:.2f}" for report in reports]
    table.add_row("right labels an image Q", *(cell for text in q for cell in (text, "")))
    if game is not None:
        table.caption = _lines(
            f"pointing game, unseen labels: {100 * game.accuracy:.1f} of {game.num_pairs} heat maps peak on the object "
            f"(chance {100 * game.chance:.1f})"
        )
    return table


def dataset_check(found: DatasetCheck) -> list[Table | Text]:
    """Figures of both splits, then a line for each thing that is left out or odd."""
    table = PlainTable(title=f"{found.root}, layout {found.layout}")
    table.add_column("figure")
    for split in found.splits:
        table.add_column(split, justify="right")
    figures = list(found.splits.values())
    table.add_row("pictures", *(f"{split.num_images:,}" for split in figures))
    seen = "seen labels a picture" if found.num_unseen else "labels a picture"
    table.add_row(seen, *(f"{split.seen_positives_per_image:.2f}" for split in figures))
    if found.num_unseen:
        rows = [(split.unseen_positives_per_image, split.images_without_unseen) for split in figures]
        table.add_row(
            "unseen labels a picture, Q", *("–" if positives is None else f"{positives:.2f}" for positives, _ in rows)
        )
        table.add_row(
            "pictures without an unseen label", *("–" if without is None else f"{without:,}" for _, without in rows)
        )
    table.add_row("annotations unknown, percent", *(f"{100 * split.unknown:.1f}" for split in figures))
    lines = [
        f"labels: {found.num_seen} seen, {found.num_unseen} unseen" if found.num_unseen else f"labels: {found.num_seen}"
    ]
    if found.feature_maps:
        maps = ", ".join(f"{channels} channels at stride {stride}" for stride, channels in found.feature_maps.items())
        lines.append(f"feature maps and no pictures: {maps}")
    if found.labels_without_training_images:
        lines.append(f"{found.labels_without_training_images} labels to train on have no training picture")
    lines += [f"left out: {number:,} pictures, {reason}" for reason, number in found.left_out.items()]
    lines += [f"broken: {path}: {reason}" for path, reason in found.broken.items()]
    lines += [f"stops training: {reason}" for reason in found.stops]
    lines += [f"odd: {doubt}" for doubt in found.doubts]
    return [table, *(Text(shown(line)) for line in lines)]


def trials(rows: Sequence[dict[str, Any]]) -> Table:
    """One row a trial of a search, the best one marked."""
    best = max((row["score"] for row in rows if row["score"] is not None), default=None)
    table = PlainTable(caption="score: mAP in percent of held-out labels on held-out training pictures")
    for heading in rows[0]:
        table.add_column(heading, justify="right" if heading != "failure" else "left")
    for row in rows:
        score = "–" if row["score"] is None else f"{100 * row['score']:.2f}"
        cells = [score if name == "score" else str(value) for name, value in row.items()]
        table.add_row(*cells, style="green" if row["score"] == best else None)
    return table


def published(rows: Sequence[Published]) -> list[Table]:
    """A table for each data set, setting and source; rows in doubt carry a mark, and below stands why.

    A backbone that all rows share stands in the title.
    """
    tables: list[Table] = []
    for group in dict.fromkeys((row.data, row.setting, row.at_k != ()) for row in rows):
        data, setting, in_depth = group
        own = [row for row in rows if (row.data, row.setting, row.at_k != ()) == group]
        sources = ", ".join(dict.fromkeys(row.source for row in own)) if in_depth else "mAP alone, each paper's own"
        one_backbone = len({row.backbone for row in own}) == 1
        title = f"{data}, {setting}: {sources}" + (f", all {own[0].backbone}" if one_backbone else "")
        table = PlainTable(title=title, box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
        ks = [at.k for at in own[0].at_k]
        table.add_column("method", overflow="fold")
        for heading in [*(f"{name}@{k}" for k in ks for name in ("P", "R", "F1")), "mAP", *(["Q"] if in_depth else [])]:
            table.add_column(heading, justify="right")
        if not one_backbone:
            table.add_column("backbone")
        table.add_column("protocol", overflow="fold")
        reasons = []
        for row in own:
            doubtful = doubts(row, rows)
            if doubtful:
                reasons.append(f"{row.method}: {'; '.join(doubtful)}")
            values = [value for at in row.at_k for value in (at.precision, at.recall, at.f1)]
            cells = ["–" if v is None else f"{v:.1f}" for v in (*values, row.mean_average_precision)]
            name = f"{row.method} {'(!)' if doubtful else ''}".strip()
            cells += [implied_q(row)] if in_depth else []
            cells += [] if one_backbone else [row.backbone]
            table.add_row(name, *cells, row.protocol or "?")
        if reasons:
            table.caption = _lines("(!) " + "\n(!) ".join(reasons))
            table.caption_justify = "left"
        tables.append(table)
    return tables


def tagged_pictures(pictures: Sequence[tuple[str, Sequence[Tag]]], num_all: int, *, calibrated: bool) -> Table:
    """One row a picture; labels that the model was not trained on carry a star."""
    number = "how likely it is right" if calibrated else "a raw score, not a confidence"
    more = "" if num_all == len(pictures) else f"\nthe first {len(pictures)} of {num_all} pictures; --json prints all"
    table = PlainTable(caption=f"* a label without a training picture; the number is {number}{more}")
    table.add_column("picture")
    table.add_column("labels, best first")
    for path, tags in pictures:
        cells = (
            f"{tag.label}{'' if tag.seen else '*'} {tag.score if tag.confidence is None else tag.confidence:.2f}"
            for tag in tags
        )
        table.add_row(path, ", ".join(cells))
    return table


def summary(done: Summary, place: Path, *, dry_run: bool = False) -> str:
    """One line on what tagging a folder did, or would do."""
    from zerotag.tagging.scan import in_words

    verb = "would be read" if dry_run else "read"
    computed = "" if dry_run else f", {done.num_computed} computed"
    gone = f", {done.num_gone} gone" if done.num_gone else ""
    unlisted = f", {len(done.unlisted)} folders not listed" if done.unlisted else ""
    others = f"; {in_words(done.passed_over)}" if done.passed_over else ""
    near = place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place
    done_with = f"{done.num_new} {verb}{computed}, {len(done.failures)} failed{gone}{unlisted}"
    return f"{done.num_files} pictures: {done_with}{others}; {near}"


def sidecars(done: SidecarSummary) -> str:
    """One line on what was done to XMP files."""
    removed = f", {done.num_removed} removed" if done.num_removed else ""
    return f"XMP files: {done.num_written} written, {done.num_same} as they were{removed}, {len(done.failures)} failed"


def matches(found: Sequence[Match]) -> Table:
    """Pictures that a search found."""
    table = PlainTable(caption="by how many standard deviations a picture sticks out of the folder")
    table.add_column("picture")
    table.add_column("match", justify="right")
    for match in found:
        table.add_row(match.path, f"{match.match:.2f}")
    return table


def trust(found: Mapping[str, Trust]) -> Table:
    """How far confidences can be trusted."""
    table = PlainTable(title="on pictures, and for the second row on labels, that were not used to fit")
    for heading in ("labels", "number", "calibration error", "chosen for a precision of 0.8", "precision reached"):
        table.add_column(heading, justify="left" if heading == "labels" else "right")
    names = {"trained": "with training pictures", "untrained": "without"}
    for kind, one in found.items():
        reached = "–" if math.isnan(one.precision) else f"{one.precision:.3f}"
        error = f"{one.expected_calibration_error:.4f}"
        table.add_row(names[kind], f"{one.num_labels}", error, f"{100 * one.chosen:.3f} %", reached)
    return table


def word_check(found: WordCheck) -> Table:
    """What is odd about a list of words, a line a kind."""
    table = PlainTable(title=f"{found.num_labels} labels, {found.num_aliases} aliases")
    table.add_column("what")
    table.add_column("number", justify="right")
    table.add_column("which")
    kinds = {
        "without a vector": found.without_vector,
        "partly without": [f"{label} ({', '.join(words)})" for label, words in found.partly_known.items()],
        "known in pieces only": found.in_pieces,
        "without letters": found.without_letters,
        "hardly differ": [" = ".join(map(repr, labels)) for labels in found.alike],
        "near-synonyms": [f"{first} = {second} ({cosine:.2f})" for first, second, cosine in found.synonyms],
        "too broad": found.broad,
    }
    for kind, entries in kinds.items():
        more = f" … and {len(entries) - WORDS_SHOWN} more" if len(entries) > WORDS_SHOWN else ""
        table.add_row(kind, f"{len(entries)}", ", ".join(entries[:WORDS_SHOWN]) + more)
    return table


def models(summaries: dict[str, str], recipes: Sequence[str]) -> Table:
    """Registered models, and the recipes of each."""
    table = PlainTable()
    for heading in ("model", "what it is", "recipes"):
        table.add_column(heading, no_wrap=heading == "recipes")
    for name, summary in summaries.items():
        own = [recipe.removesuffix(".yaml") for recipe in recipes if recipe.startswith(f"{name}-")]
        table.add_row(name, summary, Text("\n".join(own)))
    return table


def findings(found: Sequence[Finding]) -> Table:
    """What the doctor saw."""
    table = PlainTable()
    for heading in ("what", "state", "detail"):
        table.add_column(heading)
    for finding in found:
        colour = {"ok": "green", "missing": "yellow", "failed": "red"}[finding.state]
        table.add_row(finding.name, Text(finding.state, style=colour), finding.detail)
    return table
