"""Commands on runs: features, train, eval, calibrate, report, export; and what is there to use."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from zerotag.cli.console import AsJson, At, ModelName, Protocol, app, counts, progress_bars, say, say_json, show


@app.command()
def features(
    data: Annotated[str, typer.Argument(help="A pocket data set's name, or a folder of pictures with labels.")],
    backbone: Annotated[
        str, typer.Option(help="A timm model with maps at strides 8, 16 and 32.")
    ] = "tf_efficientnet_lite0",
    size_px: Annotated[int, typer.Option(min=1, help="Side to which pictures are brought.")] = 224,
    map_side: Annotated[
        int | None,
        typer.Option(min=1, help="Cells a side to which maps of stride 32 are averaged; finer ones likewise."),
    ] = None,
) -> None:
    """Extract the feature maps of all pictures of a data set once, and keep them on disk in half precision.

    Maps that are there already and still fit are left; those of changed pictures or other weights are made anew. Maps
    that the data set itself brings along are copied; the backbone is not asked then.

    Example: `zerotag features pocket-scenes --size-px 448 --map-side 9`, which the recipes that come along read.
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
            frozen = frozen_backbone(backbone, size_px=size_px, map_side=map_side)
            folder = extract_features(dataset, frozen, progress=progress).folder
    say(f"{len(dataset.paths)} pictures, maps in {folder}")


@app.command()
def train(
    config: Annotated[str, typer.Argument(help="A YAML file, or a recipe that comes along (see: zerotag models).")],
    out: Annotated[Path | None, typer.Option(help="Folder of the run; runs/CONFIG-seedSEED when left out.")] = None,
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
        say(run.folder)


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
        say_json(evaluation.to_dict(), indent=1)
        return
    show(tables.figures(evaluation.reports, evaluation.pointing_game))


@app.command()
def calibrate(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run.")],
    data: Annotated[
        str | None,
        typer.Argument(help="Annotated pictures that it was not trained on; the run's test split if left out."),
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Write a reliability diagram to this PNG file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Turn a run's scores into confidences, kept in its folder, and tell how far they can be trusted.

    What is printed was fitted to one half of the pictures and judged on the other; for labels without training pictures
    it was fitted to one half of these labels and judged on the other, too.

    Example: `zerotag calibrate runs/gbe pocket-scenes`
    """
    from zerotag import tables
    from zerotag.tagging.calibrate import calibrate as fit
    from zerotag.tagging.calibrate import to_plain

    with progress_bars() as progress:
        _, trust = fit(run, data, progress=progress)
    if figure is not None:
        from zerotag.reporting.reliability import draw

        draw(trust, figure)
    say_json(to_plain(trust), indent=1) if as_json else show(tables.trust(trust))


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
    say(out)


@app.command()
def onnx(
    model: ModelName,
    file: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
    labels: Annotated[str | None, typer.Option(help="Labels whose vectors are written beside it.")] = None,
) -> None:
    """Write backbone and model as one ONNX file, with the label vectors as an input: any words, without Python.

    Example: `zerotag onnx runs/gbe gbe.onnx --labels words.txt`
    """
    from zerotag.tagging.onnx_model import export_onnx
    from zerotag.tagging.tagger import Tagger
    from zerotag.tagging.words import read_words

    tagger = Tagger.load(model)
    vectors = export_onnx(tagger, tagger.vocabulary(None if labels is None else read_words(labels)), file)
    say(file, vectors)


@app.command()
def models(as_json: AsJson = False) -> None:
    """List the models and the recipes that come along."""
    from zerotag import tables
    from zerotag.models import list_models, model_summary
    from zerotag.training.settings import list_recipes

    summaries, recipes = {name: model_summary(name) for name in list_models()}, list_recipes()
    if as_json:
        say_json({"models": summaries, "recipes": recipes}, indent=1)
    else:
        show(tables.models(summaries, recipes))


@app.command()
def doctor(
    check: Annotated[
        Path | None,
        typer.Option(metavar="CATALOGUE|RUN", help="Look at this catalogue, tagged folder or run instead."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Look at this machine: what is installed, what can be reached, how fast it is; or whether files are whole.

    Exit status: 1 when something failed.

    Example: `zerotag doctor --check holiday.zerotag`
    """
    from zerotag import doctor, tables

    findings = doctor.examine() if check is None else doctor.check(check)
    say_json([vars(finding) for finding in findings], indent=1) if as_json else show(tables.findings(findings))
    if any(finding.state == "failed" for finding in findings):
        raise typer.Exit(1)
