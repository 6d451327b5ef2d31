"""Commands on a picture library: tag it, search it, hand its tags on, open its page."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from zerotag.cli.console import AsJson, CatalogueOrFolder, ModelName, app, notes, progress_bars

if TYPE_CHECKING:
    from zerotag.tagging.sidecars import SidecarSummary

ROWS_SHOWN = 30

Where = Annotated[
    Path | None, typer.Option("--catalogue", help="The catalogue's file; FOLDER.zerotag beside the folder if left out.")
]


@app.command()
def tag(
    model: ModelName,
    folder: Annotated[Path, typer.Argument(help="Folder of pictures; those in its sub-folders count too.")],
    labels: Annotated[
        str | None,
        typer.Option(help="Text or YAML file of labels, or imagenet, photographer; the model's own if left out."),
    ] = None,
    top_k: Annotated[int, typer.Option(min=1, help="A picture gets at most this many labels.")] = 10,
    min_confidence: Annotated[
        float | None, typer.Option(min=0, max=1, help="Give no label that is less likely right than this.")
    ] = None,
    precision: Annotated[
        float | None, typer.Option(min=0, max=1, help="Give so many labels that this share of them should be right.")
    ] = None,
    include: Annotated[list[str] | None, typer.Option(help='Only paths like this: "trips/*".')] = None,
    exclude: Annotated[list[str] | None, typer.Option(help='No paths like this: "*_thumb.jpg".')] = None,
    catalogue: Where = None,
    heatmaps: Annotated[Path | None, typer.Option(help="Write a heat map for each picture's best labels here.")] = None,
    sidecars: Annotated[
        bool, typer.Option("--sidecars", help="Write the tags into XMP files beside the pictures.")
    ] = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Read again what could not be read.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
    allow_missing: Annotated[
        bool, typer.Option(help="Leave out labels that have no vector instead of stopping.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON a picture.")] = False,
) -> None:
    """Tag the pictures of a folder with words of your own choice; the pictures stay as they are.

    What the model makes of a picture is kept in a catalogue, so a second run computes nothing, other words need no look
    at the pictures, and a run that was stopped goes on. A picture that cannot be read is listed with the reason.

    Example: `zerotag tag runs/gbe holiday --labels words.txt --top-k 5`
    """
    from zerotag import tables
    from zerotag.tagging.catalogue import Catalogue, catalogue_of
    from zerotag.tagging.folder import Rule
    from zerotag.tagging.heat_map_files import write_heat_maps
    from zerotag.tagging.library import Summary, update
    from zerotag.tagging.plan import plan
    from zerotag.tagging.sidecars import write_sidecars
    from zerotag.tagging.tagged import TaggedFolder
    from zerotag.tagging.tagger import Tagger
    from zerotag.tagging.words import read_words

    words = None if labels is None else read_words(labels)
    place = catalogue or catalogue_of(folder)
    tagger = Tagger.load(model)
    vocabulary = tagger.vocabulary(words, allow_missing=allow_missing)
    rule = Rule(top_k, min_confidence, precision)
    rule.check(tagger, vocabulary)
    if heatmaps is not None:
        tagger.require_heat_maps()
    planned = plan(folder, place, tagger, include=include or (), exclude=exclude or (), retry_failed=retry_failed)
    if dry_run:
        would = Summary(len(planned.found), len(planned.new), num_gone=len(planned.gone), failures=planned.failures)
        print(json.dumps(would.to_dict()) if as_json else tables.summary(would, place, dry_run=True))
        return
    with Catalogue(place, folder) as opened_catalogue, progress_bars() as progress:
        summary = update(opened_catalogue, tagger, planned, progress=progress)
        library = TaggedFolder(opened_catalogue, tagger, vocabulary, rule, model)
        library.remember()
        found = [file.path for file in planned.found if file.path not in summary.failures]
        tags = library.tags()
        if as_json:
            for path, given in tags.of(found):
                print(json.dumps({"path": path, "tags": [vars(one) for one in given]}))
        else:
            shown = list(islice(tags.of(found), ROWS_SHOWN))
            Console().print(tables.tagged_pictures(shown, len(found), calibrated=tags.is_calibrated))
        if heatmaps is not None:
            summary.failures |= write_heat_maps(tagger, folder, tags.of(found), heatmaps, progress=progress)
        written = write_sidecars(opened_catalogue, tags.of(found), vocabulary.words) if sidecars else None
    for word in vocabulary.missing:
        notes.print(f"left out '{word}': it has no vector", highlight=False, markup=False)
    for path, reason in summary.failures.items():
        if as_json:
            print(json.dumps({"path": path, "reason": reason}))
        else:
            notes.print(f"skipped {path!r}: {reason}", highlight=False, markup=False, soft_wrap=True)
    print(json.dumps({"summary": summary.to_dict()}) if as_json else tables.summary(summary, place))
    if written is not None:
        _print_sidecars(written, as_json)


def _print_sidecars(done: SidecarSummary, as_json: bool) -> None:
    from zerotag import tables

    for path, reason in done.failures.items():
        notes.print(f"left as it is {path!r}: {reason}", highlight=False, markup=False, soft_wrap=True)
    plain = vars(done)
    print(json.dumps({"sidecars": plain}) if as_json else tables.sidecars(done))


@app.command(context_settings={"ignore_unknown_options": True})
def search(
    where: CatalogueOrFolder,
    words: Annotated[list[str] | None, typer.Argument(help='Words to find; unwanted ones as "-tomato".')] = None,
    like: Annotated[list[Path] | None, typer.Option(help="A picture that those found should resemble.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many pictures.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Find pictures of a tagged folder by any words, also such as it was not tagged with.

    The number is how far a picture sticks out of the folder, in standard deviations.

    Example: `zerotag search holiday "red fruit" "-tomato" --top 20`
    """
    from zerotag import tables
    from zerotag.tagging.search import Index, Query
    from zerotag.tagging.tagged import opened

    query = Query.of(words or [], like or [])
    with opened(where) as library:
        found = Index(library.catalogue, library.tagger).search(query, top=top)
    if as_json:
        print(json.dumps([vars(match) for match in found], indent=1))
    else:
        Console().print(tables.matches(found))


@app.command()
def export(
    where: CatalogueOrFolder,
    file: Annotated[Path, typer.Argument(help="The file to write.")],
    form: Annotated[str, typer.Option("--format", help="csv, jsonl, parquet, coco, label-studio or fiftyone.")] = "csv",
) -> None:
    """Write the tags of a folder, as it was last tagged, into a file for another program.

    Example: `zerotag export holiday holiday.json --format label-studio`
    """
    from zerotag.tagging.export import export as write
    from zerotag.tagging.tagged import opened

    with opened(where) as library:
        write(library.tagging(), file, form)
    print(file)


@app.command()
def untag(
    where: CatalogueOrFolder,
    as_json: AsJson = False,
) -> None:
    """Take back what zerotag wrote into XMP files, and nothing else.

    A file that nobody changed since is restored byte for byte, or deleted where zerotag had made it.

    Example: `zerotag untag holiday`
    """
    from zerotag.tagging.catalogue import Catalogue, catalogue_of
    from zerotag.tagging.sidecars import remove_sidecars

    with Catalogue(catalogue_of(where)) as catalogue:
        summary = remove_sidecars(catalogue.folder, catalogue)
    _print_sidecars(summary, as_json)


@app.command()
def serve(
    what: Annotated[str, typer.Argument(metavar="CATALOGUE|RUN", help="A tagged folder or its catalogue; or a model.")],
    labels: Annotated[str | None, typer.Option(help="Words to begin with, as for zerotag tag.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8017,
) -> None:
    """Open a page in the browser's reach: drop pictures in, type words, see where and how sure, browse and search.

    The server answers to this machine alone. Programs find its forms at /openapi.json.

    Example: `zerotag serve holiday`
    """
    from zerotag.server.run import run

    run(what, labels, port)
