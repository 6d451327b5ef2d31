"""Commands on lists of words to tag with."""

from __future__ import annotations

from typing import Annotated

import typer

from zerotag.cli.console import AsJson, labels_app, progress_bars, say, say_json, show


@labels_app.command("check")
def check_labels(
    labels: Annotated[str, typer.Argument(help="Text or YAML file of labels, or the name of a list that comes along.")],
    vectors: Annotated[str, typer.Option(help="minilm, or a word-vector file.")] = "minilm",
    as_json: AsJson = False,
) -> None:
    """Say what is odd about a list of labels: unknown words, words that hardly differ, near-synonyms, words too broad.

    Example: `zerotag labels check words.txt`
    """
    from zerotag import tables
    from zerotag.tagging.word_check import check_words
    from zerotag.tagging.words import read_words

    words = read_words(labels)
    with progress_bars() as progress:
        found = check_words(words, vectors, progress=progress)
    say_json(found.to_dict(), indent=1) if as_json else show(tables.word_check(found))


@labels_app.command("list")
def list_labels(
    labels: Annotated[
        str | None, typer.Argument(help="A file or a list that comes along; their names if left out.")
    ] = None,
) -> None:
    """Print the labels of a list, one a line, with what stands above them; or the names of the lists that come along.

    Example: `zerotag labels list photographer`
    """
    from zerotag.tagging.words import named_sets, read_words

    if labels is None:
        say(*named_sets())
        return
    words = read_words(labels)
    say(*(" < ".join([word.name, *words.above(word.name)]) for word in words.words))
