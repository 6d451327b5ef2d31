"""Commands that tag the pictures of a folder, and remove the tags from XMP files."""

from __future__ import annotations

from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zerotag.cli.console import (
    EXIT_STATUSES,
    AsJson,
    ModelName,
    app,
    conclude,
    note,
    progress_bars,
    say,
    say_json,
    show,
)
from zerotag.errors import first_few
from zerotag.tagging.sidecar_names import SidecarNames

if TYPE_CHECKING:
    from zerotag.tagging.folder import FolderTags
    from zerotag.tagging.library import Summary
    from zerotag.tagging.plan import Plan
    from zerotag.tagging.sidecars import SidecarSummary
    from zerotag.tagging.tagged import TaggedFolder
    from zerotag.tagging.tagger import Tag

ROWS_SHOWN = 30

Where = Annotated[
    Path | None, typer.Option("--catalogue", help="The catalogue's file; FOLDER.zerotag beside the folder if left out.")
]


@app.command(epilog=EXIT_STATUSES)
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
        float | None, typer.Option(min=0, max=1, help="Target precision: choose the threshold that should reach it.")
    ] = None,
    include: Annotated[
        list[str] | None, typer.Option(help='Only paths like this (as in .gitignore): "trips/*".')
    ] = None,
    exclude: Annotated[list[str] | None, typer.Option(help='No paths like this (likewise): "*_thumb.jpg".')] = None,
    catalogue: Where = None,
    heatmaps: Annotated[Path | None, typer.Option(help="Write a heat map for each picture's best labels here.")] = None,
    sidecars: Annotated[
        bool, typer.Option("--sidecars", help="Write the tags into XMP files beside the pictures.")
    ] = False,
    sidecar_names: Annotated[
        SidecarNames, typer.Option(help="Names of the XMP files: full for IMG.jpg.xmp, stem for IMG.xmp.")
    ] = SidecarNames.FULL,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Read again what could not be decoded.")] = False,
    reread: Annotated[
        bool, typer.Option("--reread", help="Read every picture, even if its size and time of change are the same.")
    ] = False,
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
    from zerotag.tagging.contents import DamagedVectorsError
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
    look = partial(plan, folder, place, tagger, include=include or (), exclude=exclude or (), retry_failed=retry_failed)
    planned = look(reread=reread)
    if dry_run:
        would = Summary.of(planned)
        _print_summary(would, place, as_json, dry_run=True)
        conclude(_pictures(planned, would))
        return
    with Catalogue(place, folder) as opened_catalogue:
        with progress_bars() as progress:
            library = TaggedFolder(opened_catalogue, tagger, vocabulary, rule, model)
            is_all_used = as_json or sidecars or heatmaps is not None
            summary = update(opened_catalogue, tagger, planned, progress=progress)
            try:
                tags, first = _tags(library, planned, summary, check_all=is_all_used)
            except DamagedVectorsError as error:
                note(str(error))
                planned = look()
                summary = update(opened_catalogue, tagger, planned, progress=progress)
                tags, first = _tags(library, planned, summary, check_all=is_all_used)
            found = _good(planned, summary)
            if heatmaps is not None:
                summary.failures |= write_heat_maps(tagger, folder, tags.of(found), heatmaps, progress=progress)
            written = None
            if sidecars:
                written = write_sidecars(opened_catalogue, tags.of(found), vocabulary.words, sidecar_names)
        if as_json:
            for path, given in tags.of(found):
                say_json({"path": path, "tags": [vars(one) for one in given]})
        else:
            show(tables.tagged_pictures(first, len(found), calibrated=tags.is_calibrated))
    for word in vocabulary.missing:
        note(f"left out '{word}': it has no vector")
    for word, unknown in vocabulary.partial.items():
        note(f"'{word}' is known in part only; its vector leaves out {first_few(unknown)}")
    _print_summary(summary, place, as_json)
    if written is not None:
        _print_sidecars(written, as_json)
    conclude(_pictures(planned, summary), *([] if written is None else [_xmp_files(written)]))


def _tags(
    library: TaggedFolder, planned: Plan, done: Summary, *, check_all: bool
) -> tuple[FolderTags, list[tuple[str, list[Tag]]]]:
    """Tags of a folder and the first ones, ``check_all`` after all vectors were looked at: what follows is written."""
    library.remember()
    tags = library.tags()
    if check_all:
        library.catalogue.check(tags.model)
    return tags, list(islice(tags.of(_good(planned, done)), ROWS_SHOWN))


def _good(planned: Plan, done: Summary) -> list[str]:
    return [file.path for file in planned.found if file.path not in done.failures]


def _print_summary(done: Summary, place: Path, as_json: bool, *, dry_run: bool = False) -> None:
    from zerotag import tables

    for where, reason in done.unlisted.items():
        note(f"skipped the folder '{where}': {reason}")
    for path, reason in done.failures.items():
        if as_json:
            say_json({"path": path, "reason": reason})
        else:
            note(f"skipped '{path}': {reason}")
    say_json({"summary": done.to_dict()}) if as_json else say(tables.summary(done, place, dry_run=dry_run))


def _print_sidecars(done: SidecarSummary, as_json: bool) -> None:
    from zerotag import tables

    for path, reason in done.failures.items():
        note(f"XMP file left alone, '{path}': {reason}")
    for path, other in islice(done.beside.items(), 1):
        note(
            f"{len(done.beside)} pictures have an XMP file by another name too, such as '{other}' of '{path}'; "
            "programs that read one file a picture see that one or zerotag's; choose with --sidecar-names"
        )
    say_json({"sidecars": vars(done)}) if as_json else say(tables.sidecars(done))


def _pictures(planned: Plan, done: Summary) -> tuple[int, int]:
    return len(_good(planned, done)), len(done.failures) + len(done.unlisted)


def _xmp_files(done: SidecarSummary) -> tuple[int, int]:
    return done.num_written + done.num_same + done.num_removed, len(done.failures)


@app.command(epilog=EXIT_STATUSES)
def untag(
    where: Annotated[Path, typer.Argument(metavar="CATALOGUE", help="A folder of pictures, or its catalogue.")],
    as_json: AsJson = False,
) -> None:
    """Remove what zerotag wrote into XMP files, and nothing else.

    A file that nobody changed since is restored byte for byte, or deleted where zerotag had made it. In a folder that
    was renamed, or whose catalogue is gone, zerotag's tags are found by what is in the files.

    Example: `zerotag untag holiday`
    """
    from zerotag.tagging.catalogue import Catalogue, catalogue_of
    from zerotag.tagging.sidecars import remove_sidecars

    place = catalogue_of(where)
    if where.is_dir() and not place.is_file():
        summary = remove_sidecars(where)
    else:
        with Catalogue(place) as catalogue:
            is_its_folder = not where.is_dir() or where.resolve() == catalogue.folder
            if is_its_folder:
                catalogue.check_is_ours()
            summary = remove_sidecars(catalogue.folder, catalogue) if is_its_folder else remove_sidecars(where)
    _print_sidecars(summary, as_json)
    conclude(_xmp_files(summary))
