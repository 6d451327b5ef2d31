"""Commands for those who compare methods: score, tune, bench, study, published."""

from __future__ import annotations

from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from zerotag.cli.console import AsJson, At, Protocol, app, conclude, counts, note, progress_bars, say, say_json, show
from zerotag.errors import MissingPackageError, ZerotagError


@app.command()
def score(
    scores: Annotated[Path, typer.Argument(help="NumPy file of scores, images by labels, seen labels first.")],
    annotations: Annotated[Path, typer.Argument(help="NumPy file in the same shape: 1 right, -1 wrong, 0 unknown.")],
    seen: Annotated[
        int | None, typer.Option(min=0, help="How many of the first labels are seen; all of them when left out.")
    ] = None,
    names: Annotated[Path | None, typer.Option(help="Text file with the labels' names, a label a line.")] = None,
    protocol: Protocol = "paper",
    at: At = "3,5",
    zeros_are_negative: Annotated[
        bool, typer.Option("--zeros-are-negative", help="The annotations are 1 and 0, and 0 is wrong, not unknown.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Judge the scores of any model by a protocol; files larger than the memory are no trouble.

    With --seen the last labels are unseen, and the figures are those of zsl and gzsl.

    Example: `zerotag score scores.npy annotations.npy --seen 925 --protocol biam`
    """
    from zerotag import tables
    from zerotag.judgement import evaluate
    from zerotag.labels import LabelSet, read_label_file
    from zerotag.score_files import read_annotations, read_scores

    table, annotated = read_scores(scores), read_annotations(annotations, zeros_are_negative=zeros_are_negative)
    words = [f"label {c}" for c in range(table.shape[1])] if names is None else read_label_file(names)
    number = len(words) if seen is None else seen
    if number > len(words):
        raise ZerotagError(f"--seen {number} is more than the {len(words)} labels there are")
    labels = LabelSet(tuple(words[:number]), tuple(words[number:]))
    settings = ["zsl", "gzsl"] if labels.unseen else ["multilabel"]
    reports = {
        setting: evaluate(table, annotated, labels, setting=setting, ks=counts(at), protocol=protocol)
        for setting in settings
    }
    if as_json:
        say_json({setting: report.to_dict() for setting, report in reports.items()}, indent=1)
        return
    show(tables.figures(reports))


@app.command()
def tune(
    method: Annotated[str, typer.Argument(help="A model, a recipe, or a YAML file to start from.")],
    data: Annotated[str, typer.Argument(help="A pocket data set's name, or a folder of pictures with labels.")],
    trials: Annotated[int, typer.Option(min=1, help="How many trainings.")] = 8,
    out: Annotated[Path | None, typer.Option(help="Folder; runs/tune/METHOD-DATA when left out.")] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="Change a setting of the start.")] = None,
    as_json: AsJson = False,
) -> None:
    """Search learning rate and weight decay, the same search for every method.

    A trial is judged on held-out seen labels and held-out training pictures alone. Called again, it goes on where it
    was stopped. `best.yaml` in its folder holds the settings it found, `trials.csv` all that was tried.

    Example: `zerotag tune lesa pocket-scenes --trials 8`
    """
    from zerotag import tables
    from zerotag.harness.methods import method_settings
    from zerotag.harness.tuning import tune as search

    settings = method_settings(method, data, change or [])
    folder = out or Path("runs") / "tune" / f"{Path(method).stem}-{Path(data).name}"
    with progress_bars() as progress:
        found = search(settings, folder, num_trials=trials, progress=progress)
    if as_json:
        say_json(found.trials, indent=1)
    else:
        show(tables.trials(found.trials))
        say(folder / "best.yaml")


@app.command()
def bench(
    data: Annotated[str, typer.Argument(help="A pocket data set's name, or a folder of pictures with labels.")],
    methods: Annotated[
        str | None,
        typer.Option(help="Models, recipes or YAML files, separated by commas; left out: all models and gbe-literal."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0, 1, ... of each method.")] = 5,
    setting: Annotated[str, typer.Option(help="Any of zsl, gzsl and multilabel, separated by commas.")] = (
        "zsl,gzsl,multilabel"
    ),
    out: Annotated[Path | None, typer.Option(help="Folder; runs/bench/DATA when left out.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Runs at a time; one a core when left out.")] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="Change a setting of all methods.")] = None,
) -> None:
    """Train and judge methods side by side: the same features, labels, protocol and seeds for all.

    Runs that are there are not made again, so a bench that was stopped goes on. A run that fails has its reason in its
    row. Writes `bench.html`, `bench.md` and `results.parquet`.

    Example: `zerotag bench pocket-scenes --methods gbe,lesa,fast0tag --seeds 3 --setting zsl,gzsl`
    """
    from zerotag.harness.bench import bench as run_bench
    from zerotag.harness.jobs import Variant, default_variants
    from zerotag.reporting.bench_page import write_bench

    if find_spec("pyarrow") is None:  # said before hours of training, not after
        raise MissingPackageError("pyarrow", "research", "zerotag bench")
    folder = out or Path("runs") / "bench" / Path(data).name
    variants = [Variant.named(method) for method in methods.split(",")] if methods else default_variants()
    with progress_bars() as progress:
        rows = run_bench(
            data,
            variants,
            folder,
            num_seeds=seeds,
            settings=setting.split(","),
            num_workers=workers,
            changes=change or [],
            progress=progress,
        )
    named = f" --methods {methods}" if methods else ""
    changed = "".join(f" --set {one}" for one in change or [])
    markdown, page = write_bench(
        rows, folder, f"zerotag bench {data}{named} --seeds {seeds} --setting {setting}{changed}"
    )
    say(*markdown.read_text().splitlines(), "", page)
    failed = [row for row in rows if row.failure]
    for row in failed:
        note(f"failed: {row.job.folder}: {row.failure}")
    conclude((len(rows) - len(failed), len(failed)))


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="ablation, groups, lambda, projection, attention, qualitative or table4")],
    data: Annotated[str, typer.Option(help="A pocket data set's name, or a folder of pictures with labels.")] = (
        "pocket-scenes"
    ),
    method: Annotated[str, typer.Option(help="What is studied: a model, a recipe, or a YAML file.")] = "gbe",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0, 1, ... of each training.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder; runs/study/DATA when left out.")] = None,
    runs: Annotated[
        Path | None, typer.Option(help="Folder of its trainings, such as that of a bench; OUT/runs when left out.")
    ] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="Change a setting of all trainings.")] = None,
) -> None:
    """Make an experiment of the paper anew: numbers as CSV and JSON, a figure as PNG and PDF.

    Trainings that are there are not made again.

    Example: `zerotag study groups --data pocket-scenes --seeds 3`
    """
    from zerotag.studies import Request, run_study

    folder = out or Path("runs") / "study" / Path(data).name
    with progress_bars() as progress:
        request = Request(data, method, folder, runs or folder / "runs", seeds, tuple(change or []), progress)
        files = run_study(name, request)
    say(*files)


@app.command()
def published(
    data: Annotated[str | None, typer.Option(help="nus-wide or open-images-v4; both when left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show figures that papers printed, and mark the rows that cannot be what they say.

    Example: `zerotag published --data nus-wide`
    """
    from zerotag import tables
    from zerotag.published import doubts, implied_q, published_numbers

    rows = published_numbers(data)
    if as_json:
        say_json([asdict(row) | {"q": implied_q(row), "doubts": doubts(row, rows)} for row in rows], indent=1)
        return
    show(*tables.published(rows), tables.Q_EXPLAINED)
