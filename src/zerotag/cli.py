"""The command line, a verb a job: parse, call, print. Results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBars

from zerotag.errors import UnknownNameError, ZerotagError
from zerotag.memory import keep_freed_memory
from zerotag.progress import Progress

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", pretty_exceptions_enable=False)
data_app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(data_app, name="data")
notes = Console(stderr=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of a table.")]


@app.callback()
def zerotag() -> None:
    """Multi-label zero-shot image tagging: train on seen labels, rank any label by its meaning."""


@data_app.callback()
def data() -> None:
    """Data sets: those that zerotag makes by itself, and folders of one's own pictures.

    A folder of one's own holds pictures and **labels.jsonl**, a line a picture:
    `{"path": "a.jpg", "labels": ["dog", "beach"], "split": "train"}`; or **labels.csv** with the columns path, labels
    (separated by ;) and split. Without splits one picture in five is taken for testing. **labels.txt**, if it is
    there, lists the labels that may come, one a line. Give the folder's path wherever a command asks for DATA, and as
    data in the settings.
    """


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """A progress function that draws one bar a piece of work, with the time that remains, on stderr."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ProgressBars(*columns, console=notes) as bars:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show


@data_app.command("build")
def build_data(
    name: Annotated[str, typer.Argument(help="pocket-scenes, pocket-emoji or pocket-scenes-dev")],
    out: Annotated[Path | None, typer.Option(help="Where to write it; zerotag's cache when left out.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 0,
) -> None:
    """Build a pocket data set from the npm registry: real drawings, tagged with words by people.

    The archives (17 MB) are fetched once, with pinned versions and checked sums. A build that was stopped goes on
    where it was.

    Example: `zerotag data build pocket-scenes`
    """
    from zerotag.datasets import dataset_folder
    from zerotag.datasets.pocket import BUILDERS

    if name not in BUILDERS:
        raise UnknownNameError("pocket data set", name, list(BUILDERS))
    with progress_bars() as progress:
        root = BUILDERS[name](out or dataset_folder(name), seed=seed, progress=progress)
    print(root)


@app.command()
def features(
    data: Annotated[str, typer.Argument(help="A pocket data set's name, or a folder of pictures with labels.")],
    backbone: Annotated[
        str, typer.Option(help="A timm model with maps at strides 8, 16 and 32.")
    ] = "tf_efficientnet_lite0",
    size_px: Annotated[int, typer.Option(help="Side to which pictures are brought.")] = 224,
) -> None:
    """Extract the feature maps of all pictures of a data set once, and keep them on disk in half precision.

    Maps that are there already and still fit are left; those of changed pictures or other weights are made anew.

    Example: `zerotag features pocket-scenes --backbone tf_efficientnet_lite0`
    """
    from zerotag.backbones import frozen_backbone
    from zerotag.datasets import load_dataset
    from zerotag.features import extract_features

    dataset = load_dataset(data)
    with progress_bars() as progress:
        maps = extract_features(dataset, frozen_backbone(backbone, size_px=size_px), progress=progress)
    print(f"{len(maps)} pictures, maps in {maps.folder}")


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="A YAML file, or a recipe that comes along (see: zerotag models).")],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/<config>-seed<seed> when left out.")] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="Change a setting: --set optimiser.epochs=5")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Draws the label split, first weights and order.")] = None,
    resume: Annotated[bool, typer.Option(help="Go on with a run that was stopped; start it if there is none.")] = False,
) -> None:
    """Train a model with the seen labels of a data set.

    The best epoch is chosen on held-out seen labels and held-out training pictures, never on test pictures.

    Example: `zerotag train gbe-fast --out runs/gbe --resume`
    """
    from zerotag.training.loop import train as train_run
    from zerotag.training.settings import load_settings

    changes = [*(change or []), *([] if seed is None else [f"seed={seed}"])]
    settings = load_settings(config, changes)
    folder = out or Path("runs") / f"{Path(config).stem}-seed{settings.seed}"
    with progress_bars() as progress:
        run = train_run(settings, folder, resume=resume, progress=progress)
    print(run.folder)


@app.command()
def tune(
    method: Annotated[str, typer.Argument(help="A model, a recipe, or a YAML file to start from.")],
    data: Annotated[str, typer.Argument(help="A pocket data set's name, or a folder of pictures with labels.")],
    trials: Annotated[int, typer.Option(min=1, help="How many trainings.")] = 8,
    out: Annotated[Path | None, typer.Option(help="Folder; runs/tune/<method>-<data> when left out.")] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="Change a setting of the start.")] = None,
    as_json: AsJson = False,
) -> None:
    """Search learning rate, weight decay and superposition, the same search for every method.

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
        print(json.dumps(found.trials, indent=1))
    else:
        Console().print(tables.trials(found.trials))
    print(folder / "best.yaml")


@app.command()
def bench(
    data: Annotated[str, typer.Argument(help="A pocket data set's name, or a folder of pictures with labels.")],
    methods: Annotated[
        str | None,
        typer.Option(help="Models, recipes or YAML files, separated by commas; all models when left out."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0, 1, ... of each method.")] = 5,
    setting: Annotated[str, typer.Option(help="Any of zsl, gzsl and multilabel, separated by commas.")] = (
        "zsl,gzsl,multilabel"
    ),
    out: Annotated[Path | None, typer.Option(help="Folder; runs/bench/<data> when left out.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Runs at a time; one a core when left out.")] = None,
    change: Annotated[list[str] | None, typer.Option("--set", help="Change a setting of all methods.")] = None,
) -> None:
    """Train and judge methods side by side: the same features, labels, protocol and seeds for all.

    Runs that are there are not made again, so a bench that was stopped goes on. A run that fails has its reason in its
    row. Writes `bench.html`, `bench.md` and `results.parquet`.

    Example: `zerotag bench pocket-scenes --methods gbe,lesa,fast0tag --seeds 3 --setting zsl,gzsl`
    """
    from zerotag.harness.bench import bench as run_bench
    from zerotag.harness.jobs import Variant, default_methods
    from zerotag.reporting.bench_page import write_bench

    folder = out or Path("runs") / "bench" / Path(data).name
    chosen = methods.split(",") if methods else default_methods()
    with progress_bars() as progress:
        rows = run_bench(
            data,
            [Variant.named(method) for method in chosen],
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
    print(markdown.read_text())
    print(page)
    for row in rows:
        if row.failure:
            notes.print(f"failed: {row.job.folder}: {row.failure}", highlight=False, markup=False)


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="ablation, groups, lambda, projection, attention, qualitative or table4")],
    data: Annotated[str, typer.Option(help="A pocket data set's name, or a folder of pictures with labels.")] = (
        "pocket-scenes"
    ),
    method: Annotated[str, typer.Option(help="What is studied: a model, a recipe, or a YAML file.")] = "gbe",
    seeds: Annotated[int, typer.Option(min=1, help="Seeds 0, 1, ... of each training.")] = 1,
    out: Annotated[Path | None, typer.Option(help="Folder; runs/study/<data> when left out.")] = None,
    runs: Annotated[
        Path | None, typer.Option(help="Folder of its trainings, such as that of a bench; <out>/runs when left out.")
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
    print(*files, sep="\n")


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
        print(json.dumps([asdict(row) | {"q": implied_q(row), "doubts": doubts(row, rows)} for row in rows], indent=1))
        return
    Console().print(*tables.published(rows), tables.Q_EXPLAINED, sep="\n")


@app.command("eval")
def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    setting: Annotated[
        str,
        typer.Option(
            help="zsl ranks unseen labels, gzsl all, multilabel all where all were trained; separate with commas."
        ),
    ] = "zsl,gzsl",
    as_json: AsJson = False,
) -> None:
    """Judge a run on its data set's test pictures: mAP over labels, precision, recall and F1 at 3 and 5.

    Example: `zerotag eval runs/gbe --setting zsl,gzsl`
    """
    from zerotag import tables
    from zerotag.evaluation import evaluate_run

    with progress_bars() as progress:
        evaluation = evaluate_run(run, setting.split(","), progress=progress)
    if as_json:
        print(json.dumps(evaluation.to_dict(), indent=1))
        return
    Console().print(tables.figures(evaluation))


@app.command()
def tag(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    folder: Annotated[Path, typer.Argument(help="Folder of pictures; those in its sub-folders count too.")],
    labels: Annotated[
        Path | None, typer.Option(help="Text file, a label a line; the run's labels when left out.")
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="How many labels a picture gets.")] = 10,
    heatmaps: Annotated[Path | None, typer.Option(help="Write a heat map for each picture's best labels here.")] = None,
    allow_missing: Annotated[
        bool, typer.Option(help="Leave out labels that have no vector instead of stopping.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Tag the pictures of a folder with words of your own choice; the pictures stay as they are.

    A picture that cannot be read is listed with the reason on stderr and skipped.

    Example: `zerotag tag runs/gbe holiday --labels words.txt --top-k 5`
    """
    from zerotag import tables
    from zerotag.labels import read_label_file
    from zerotag.tagging.folder import tag_folder
    from zerotag.tagging.tagger import Tagger

    words = None if labels is None else read_label_file(labels)
    tagger = Tagger.load(run)
    with progress_bars() as progress:
        tagged = tag_folder(
            tagger,
            folder,
            words,
            top_k=top_k,
            heat_map_folder=heatmaps,
            allow_missing=allow_missing,
            progress=progress,
        )
    if as_json:
        print(json.dumps(tagged.to_dict(), indent=1))
    else:
        Console().print(tables.tagged_pictures(tagged))
    for word in tagged.labels_without_vector:
        notes.print(f"left out '{word}': it has no vector", highlight=False, markup=False)
    for path, reason in tagged.skipped.items():
        notes.print(f"skipped {path}: {reason}", highlight=False, markup=False)


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="Finished, evaluated runs; the first one is shown in depth.")],
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("report.html"),
) -> None:
    """Write one self-contained HTML page: metrics, pictures with their labels, heat maps, training curve, settings.

    Example: `zerotag report runs/gbe runs/fast0tag --out report.html`
    """
    from zerotag.reporting.page import write_report

    with progress_bars() as progress:
        write_report(runs, out, progress=progress)
    print(out)


@app.command()
def models(as_json: AsJson = False) -> None:
    """List the models and the recipes that come along."""
    from zerotag import tables
    from zerotag.models import list_models, model_summary
    from zerotag.training.settings import list_recipes

    summaries, recipes = {name: model_summary(name) for name in list_models()}, list_recipes()
    if as_json:
        print(json.dumps({"models": summaries, "recipes": recipes}, indent=1))
    else:
        Console().print(tables.models(summaries, recipes))


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Look at this machine: what is installed, what can be reached, how fast it is."""
    from zerotag import tables
    from zerotag.doctor import examine

    findings = examine()
    if as_json:
        print(json.dumps([vars(finding) for finding in findings], indent=1))
    else:
        Console().print(tables.findings(findings))
    if any(finding.state == "failed" for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Run the command line; a user's mistake is one sentence on stderr and exit code 1."""
    keep_freed_memory()
    try:
        app()
    except ZerotagError as error:
        notes.print(f"[red]zerotag:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        notes.print("stopped; the same command with --resume, where it has one, goes on from here")
        sys.exit(130)
