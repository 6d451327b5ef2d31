"""Label files: aliases, parents, groups, thresholds; what is wrong with one is named; the lists that come along."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zerotag.errors import UnknownNameError, ZerotagError
from zerotag.tagging.tagger import Tagger
from zerotag.tagging.word_check import check_words
from zerotag.tagging.words import Word, WordList, named_set, named_sets, read_words

EVERYTHING = """
labels:
  - dog
  - {name: kitten, aliases: [young cat, kitty], parent: cat, threshold: 0.6}
  - {name: cat, parent: animal}
groups:
  fruit: [apple, {name: pear, parent: tree}]
sets: [pocket]
exclude: [snowman, apple]
"""


def test_a_list_in_full(tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text(EVERYTHING)
    words = read_words(tmp_path / "words.yaml")
    assert words.by_name["kitten"] == Word(name="kitten", aliases=("young cat", "kitty"), parent="cat", threshold=0.6)
    assert words.above("kitten") == ["cat", "animal"] and words.above("pear") == ["tree"]
    assert {"dog", "puppy", "rocket"} <= words.by_name.keys() and not {"snowman", "apple"} & words.by_name.keys()
    assert WordList.of_plain(words.to_plain()) == words


def test_a_plain_list_is_a_line_a_label(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("# mine\nred fruit\n\nZürich\n", encoding="utf-8")
    assert [word.name for word in read_words(tmp_path / "words.txt").words] == ["red fruit", "Zürich"]
    (tmp_path / "words.yml").write_text("[a, b]")
    assert [word.name for word in read_words(tmp_path / "words.yml").words] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("labels: [dog, dog]", "come more than once: 'dog'"),
        ("labels: [{name: dog, aliases: [cat]}, cat]", "come more than once: 'cat'"),
        ("labels: [{name: a, parent: b}, {name: b, parent: a}]", "'a' stands above itself"),
        ("labels: []", "there are no labels"),
        ("labels: [{name: dog, treshold: 0.5}]", "labels.0.treshold"),
        ("labels: [{name: dog, threshold: 5}]", "labels.0.threshold"),
        ("labels: [{aliases: [x]}]", "labels.0.name"),
        ("sets: [photographr]\nlabels: [a]", "did you mean: photographer"),
        ("labels: [dog", "is not valid YAML"),
        ("just text", "does not hold"),
    ],
)
def test_what_is_wrong_with_a_list_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text(text)
    with pytest.raises(ZerotagError, match=message):
        read_words(tmp_path / "words.yaml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_bytes(b"labels: [\xff\xfe]")
    with pytest.raises(ZerotagError, match="no UTF-8 text"):
        read_words(tmp_path / "words.yaml")
    for name in ("none.yaml", "none.txt", "nonesuch"):
        with pytest.raises(ZerotagError, match="cannot be read"):
            read_words(tmp_path / name)


@pytest.mark.parametrize("name", named_sets())
def test_lists_that_come_along(name: str) -> None:
    words = named_set(name)
    assert len(words.words) >= {"imagenet": 1000, "photographer": 500, "pocket": 50}[name]
    assert all(word.name == word.name.strip() for word in words.words)
    assert read_words(name) == words


def test_no_such_list() -> None:
    with pytest.raises(UnknownNameError, match="did you mean: imagenet"):
        named_set("imagnet")


def test_the_best_of_a_label_and_its_aliases_counts(toy_run: Path, squares: Path) -> None:
    tagger = Tagger.load(toy_run)
    words = WordList((Word(name="red", aliases=("pink", "orange")), Word(name="blue")))
    S = tagger.embed(sorted(squares.glob("*.png"))[:6])
    together = tagger.scores(S, tagger.vocabulary(words))
    each = tagger.scores(S, tagger.vocabulary(["red", "pink", "orange", "blue"]))
    np.testing.assert_array_equal(together, np.stack([each[:, :3].max(1), each[:, 3]], axis=1))


def test_a_label_is_kept_for_an_alias_that_has_a_vector(toy_run: Path) -> None:
    tagger = Tagger.load(toy_run)
    words = WordList((Word(name="scarlet", aliases=("red",)), Word(name="xylophone"), Word(name="blue")))
    vocabulary = tagger.vocabulary(words, allow_missing=True)
    assert vocabulary.names == ("scarlet", "blue") and vocabulary.missing == ("xylophone",)
    with pytest.raises(ZerotagError, match="xylophone"):
        tagger.vocabulary(words)


def test_what_is_odd_about_words() -> None:
    words = WordList(tuple(Word(name=name) for name in ("thing", "flag", "flags", "zxqvbrtw", "dog")))
    found = check_words(words)
    assert found.broad == ["thing"] and found.in_pieces == ["zxqvbrtw"]
    assert [pair[:2] for pair in found.synonyms] == [("flag", "flags")]


def test_words_that_a_file_of_vectors_lacks(colour_vectors: Path) -> None:
    words = WordList(tuple(Word(name=name) for name in ("red", "xylophone", "red xylophone")))
    found = check_words(words, str(colour_vectors))
    assert found.without_vector == ["xylophone"] and found.in_pieces == ["red xylophone"]
