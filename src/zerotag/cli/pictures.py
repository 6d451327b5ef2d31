"""Commands from pictures to a model: data, features, train, eval, report, and what is there to use."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from zerotag.cli.console import AsJson, At, Protocol, app, counts, data_app, progress_bars
from zerotag.errors import UnknownNameError


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


@data_app.command("check")
def check_data(
    data: Annotated[str, typer.Argument(help="A data set's folder in any layout, or a pocket data set's name.")],
    open_pictures: Annotated[
        bool, typer.Option("--open-pictures", help="Decode every picture and name the broken ones; takes a while.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is in a data set: its layout, pictures, labels, Q, what is missing, and what is odd about it.

    Example: `zerotag data check NUS-WIDE`
    """
    from zerotag import tables
    from zerotag.datasets.check import check

    with progress_bars() as progress:
        found = check(data, open_pictures=open_pictures, progress=progress)
    if as_json:
        print(json.dumps(found.to_dict(), indent=1))
    else:
        Console().print(*tables.dataset_check(found), sep="\n")


@data_app.command("fake")
def fake_data(
    name: Annotated[str, typer.Argument(help="nus-wide or open-images")],
    out: Annotated[Path, typer.Argument(help="Folder to write it to; a new one.")],
    layout: Annotated[
        str, typer.Option(help="raw, hdf5 or tfrecord; of nus-wide also hdf5-table, ml2p, ml-decoder or coco.")
    ] = "raw",
    images: Annotated[int, typer.Option(help="Pictures, for training and testing together.")] = 500,
    seen: Annotated[int, typer.Option(help="Seen labels; the real sets have 925 and 7,186.")] = 40,
    unseen: Annotated[int, typer.Option(help="Unseen labels; the real sets have 81 and 400.")] = 10,
    seed: Annotated[int, typer.Option(help="The same seed gives the same set.")] = 0,
) -> None:
    """Write a small made-up data set in a real layout, to see what it looks like and to try commands on.

    Its labels can be learned: each is a colour, and word_vectors.txt tells what colour.

    Example: `zerotag data fake nus-wide fake-nus --layout hdf5 --images 500`
    """
    from zerotag.datasets import fake_nus_wide, fake_open_images

    if name not in ("nus-wide", "open-images"):
        raise UnknownNameError("data set to fake", name, ["nus-wide", "open-images"])
    if name == "nus-wide":
        fake_nus_wide.make(out, layout, num_images=images, num_seen=seen, num_unseen=unseen, seed=seed)
    else:
        fake_open_images.make(out, layout, num_images=images, num_seen=seen, num_unseen=unseen, seed=seed)
    print(out)


@app.command()
def features(
    data: Annotated[str, typer.Argument(help="A pocket data set's name, or a folder of pictures with labels.")],
    backbone: Annotated[
        str, typer.Option(help="A timm model with maps at strides 8, 16 and 32.")
    ] = "tf_efficientnet_lite0",
    size_px: Annotated[int, typer.Option(help="Side to which pictures are brought.")] = 224,
) -> None:
    """Extract the feature maps of all pictures of a data set once, and keep them on disk in half precision.

    Maps that are there already and still fit are left; those of changed pictures or other weights are made anew. Maps
    that the data set itself brings along are copied; the backbone is not asked then.

    Example: `zerotag features pocket-scenes --backbone tf_efficientnet_lite0`
    """
    from zerotag.backbones import frozen_backbone
    from zerotag.datasets import load_dataset
    from zerotag.features import extract_features
    from zerotag.kept_maps import keep_maps

    dataset = load_dataset(data)
    with progress_bars() as progress:
        if dataset.maps is not None:
            folder = keep_maps(dataset, progress=progress).folder
        else:
            folder = extract_features(dataset, frozen_backbone(backbone, size_px=size_px), progress=progress).folder
    print(f"{len(dataset.paths)} pictures, maps in {folder}")


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

    The best epoch is chosen on held-out seen labels and held-out training pictures, never on test pictures. Several
    graphics processors share the work under `torchrun --nproc-per-node 4 --no-python zerotag train ...`.

    Example: `zerotag train gbe-fast --out runs/gbe --resume`
    """
    from zerotag.training.loop import train as train_run
    from zerotag.training.settings import load_settings

    changes = [*(change or []), *([] if seed is None else [f"seed={seed}"])]
    settings = load_settings(config, changes)
    folder = out or Path("runs") / f"{Path(config).stem}-seed{settings.seed}"
    with progress_bars() as progress:
        run = train_run(settings, folder, resume=resume, progress=progress)
    if os.environ.get("RANK", "0") == "0":
        print(run.folder)


@app.command("eval")
def evaluate(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    setting: Annotated[
        str,
        typer.Option(
            help="zsl ranks unseen labels, gzsl all, multilabel all where all were trained; separate with commas."
        ),
    ] = "zsl,gzsl",
    protocol: Protocol = "paper",
    at: At = "3,5",
    as_json: AsJson = False,
) -> None:
    """Judge a run on its data set's test pictures: mAP over labels, precision, recall and F1 at K.

    Example: `zerotag eval runs/gbe --setting zsl,gzsl --protocol lesa`
    """
    from zerotag import tables
    from zerotag.evaluation import evaluate_run

    with progress_bars() as progress:
        evaluation = evaluate_run(run, setting.split(","), ks=counts(at), protocol=protocol, progress=progress)
    if os.environ.get("RANK", "0") != "0":
        return
    if as_json:
        print(json.dumps(evaluation.to_dict(), indent=1))
        return
    Console().print(tables.figures(evaluation.reports, evaluation.pointing_game))


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
