"""Commands on a tagged folder: search it, hand its tags on, open its page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zerotag.cli.console import AsJson, CatalogueOrFolder, app, say, say_json, show


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
    say_json([vars(match) for match in found], indent=1) if as_json else show(tables.matches(found))


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
    say(file)


@app.command()
def serve(
    what: Annotated[str, typer.Argument(metavar="CATALOGUE|RUN", help="A tagged folder or its catalogue; or a model.")],
    labels: Annotated[str | None, typer.Option(help="Words to begin with, as for zerotag tag.")] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes any that is free.")] = 8017,
    any_user: Annotated[bool, typer.Option("--any-user", help="Answer other users of this machine too.")] = False,
) -> None:
    """Open a page in the browser's reach: drop pictures in, type words, see where and how sure, browse and search.

    The server answers to this machine alone and, on Linux, to the user who started it and to root; elsewhere, and with
    --any-user, every user of this machine may see the pictures, set words and give verdicts. Programs find its forms at
    /openapi.json. Ctrl-C or SIGTERM ends it within five seconds.

    Example: `zerotag serve holiday`
    """
    from zerotag.server.run import run

    run(what, labels, port, any_user=any_user)
