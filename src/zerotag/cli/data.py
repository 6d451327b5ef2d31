"""Commands on data sets: build, check, make up, and take from a library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from zerotag.cli.console import AsJson, CatalogueOrFolder, data_app, note, progress_bars, say, say_json, show
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
    say(root)


@data_app.command("check")
def check_data(
    data: Annotated[str, typer.Argument(help="A data set's folder in any layout, or a pocket data set's name.")],
    open_pictures: Annotated[
        bool, typer.Option("--open", help="Decode every picture and name the broken ones; takes a while.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what is in a data set: its layout, pictures, labels, Q, what is missing or odd, and what would stop training.

    Example: `zerotag data check NUS-WIDE`
    """
    from zerotag import tables
    from zerotag.datasets.check import check

    with progress_bars() as progress:
        found = check(data, open_pictures=open_pictures, progress=progress)
    say_json(found.to_dict(), indent=1) if as_json else show(*tables.dataset_check(found))


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
    say(out)


@data_app.command("from-catalogue")
def data_from_catalogue(
    where: CatalogueOrFolder,
    out: Annotated[Path, typer.Argument(help="Folder to write the data set to; a new one.")],
) -> None:
    """Make a data set of what was accepted and rejected on the page, to train on; pictures stay where they are.

    Example: `zerotag data from-catalogue holiday holiday-labels`
    """
    from zerotag.tagging.catalogue import Catalogue, catalogue_of
    from zerotag.tagging.from_catalogue import write_dataset

    with Catalogue(catalogue_of(where)) as catalogue:
        number, num_gone = write_dataset(catalogue, out)
    if num_gone:
        note(f"left out {num_gone} judged pictures: no file of the folder has their content any more")
    say(f"{number} pictures, {out}")
