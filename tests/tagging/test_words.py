"""Label files: aliases, parents, groups, thresholds; what is wrong with one is named; the lists that come along."""

from __future__ import annotations

import os
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from zerotag.errors import UnknownNameError, ZerotagError
from zerotag.tagging.tagger import Tagger
from zerotag.tagging.word_check import check_words
from zerotag.tagging.words import Word, WordList, named_set, named_sets, read_words, vocabulary_of
from zerotag.vectors import label_vectors

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
        ("just text", "does not hold: it is not a list; write '- ' before each label"),
        ("dog\ncat", "it is not a list"),
        ("", "it is not a list"),
        ("labels: dog, cat", "'labels': it should be a list"),
        ("- #beach\n- dog", "'labels.0.name': it is blank; in YAML a # begins a comment"),
        ("- dog\n-\n", "'labels.1.name': it is blank"),
        ("labels: [dog]\nlabels: [cat]", "the key 'labels' comes twice in line 1"),
        ("groups: {fruit: [apple], fruit: [pear]}", "the key 'fruit' comes twice"),
        ("- {name: dog, name: cat}", "the key 'name' comes twice"),
        ("labels: [dog]\n---\nlabels: [cat]", "expected a single document"),
        ("- dog\n\t- cat", "is not valid YAML: .* line 2"),
        ("- dog: cat", "'labels.0.dog': there is no such key"),
        ("[" * 20_000 + "]" * 20_000, "nested too deep"),
        ("labels:\n  - dog\n   - cat", "begin every item of a list .* such as 'dog - cat' in line 2"),
        ("- hot\n  dog", "text of several lines, such as 'hot dog' in line 1"),
        ("groups:\n  fruit\n  tree: [oak]", "is not valid YAML"),
        ("- |\n  dog\n  cat", "'labels.0.name': it has several lines"),
        ("labels: [dog]\nexclude: [dgo]", "excludes 'dgo', which none of its lists has"),
        ("[a, cafe\u0301, caf\u00e9]", "come more than once: 'caf\u00e9'"),
    ],
)
def test_what_is_wrong_with_a_list_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text(text)
    with pytest.raises(ZerotagError, match=message):
        read_words(tmp_path / "words.yaml")


def test_what_is_excluded_is_never_given(tmp_path: Path) -> None:
    text = """
labels:
  - {name: kitten, aliases: [Kitty], parent: cat}
  - {name: cat, parent: animal}
  - {name: puma, aliases: [cougar], parent: animal}
  - {name: puma cub, parent: puma}
groups:
  Fruit: [apple]
exclude: [CAT, Cougar, fruit]
"""
    (tmp_path / "words.yaml").write_text(text)
    words = read_words(tmp_path / "words.yaml")
    assert [(word.name, word.parent) for word in words.words] == [
        ("kitten", "animal"),
        ("puma cub", "animal"),
        ("apple", None),
    ]
    (tmp_path / "words.yaml").write_text(text.replace("CAT", "kitty, ANIMAL"))
    words = read_words(tmp_path / "words.yaml")
    assert [(word.name, word.parent) for word in words.words] == [("cat", None), ("puma cub", None), ("apple", None)]


def test_words_of_several_lists_are_taken_once(tmp_path: Path) -> None:
    (tmp_path / "words.yaml").write_text("sets: [photographer, pocket, imagenet, pocket]")
    words = read_words(tmp_path / "words.yaml")
    first = named_set("photographer").words
    assert words.words[: len(first)] == first
    names = {text for word in words.words for text in (word.name, *word.aliases)}
    for name in ("pocket", "imagenet"):
        assert all(names & {word.name, *word.aliases} for word in named_set(name).words)


def test_plain_words_of_yaml_are_labels_as_they_are_written(tmp_path: Path) -> None:
    words = ["yes", "no", "on", "off", "null", "~", "1.0", "0x1F", "2024-01-01", "12:30"]
    (tmp_path / "words.YAML").write_text(f"labels: [{', '.join(words)}]\ngroups: {{1: [{{name: x, threshold: 0.5}}]}}")
    found = read_words(tmp_path / "words.YAML")
    assert [word.name for word in found.words] == [*words, "x"]
    assert found.by_name["x"] == Word(name="x", parent="1", threshold=0.5)


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


def test_words_in_scripts_that_the_encoder_does_not_know() -> None:
    words = WordList(
        (
            Word(name="dog", aliases=("\N{DOG}",)),
            Word(name="猫"),
            Word(name="海滩"),
            Word(name="кот"),
            Word(name="!!!"),
            Word(name="Dog"),
        )
    )
    found = check_words(words)
    assert found.without_vector == ["\N{DOG}", "猫"] and found.partly_known == {"海滩": ("滩",)}
    assert found.in_pieces == ["кот", "海滩"] and found.without_letters == ["!!!"] and found.alike == [("dog", "Dog")]


def test_a_vocabulary_tells_which_words_do_not_count(colour_vectors: Path) -> None:
    words = WordList(
        (Word(name="red zebra"), Word(name="blue", aliases=("okapi",)), Word(name="pink"), Word(name="猫"))
    )
    vocabulary = vocabulary_of(words, partial(label_vectors, source=colour_vectors), allow_missing=True)
    assert vocabulary.names == ("red zebra", "blue", "pink") and vocabulary.missing == ("猫",)
    assert vocabulary.partial == {"red zebra": ("zebra",), "blue": ("okapi",)}


def test_words_that_a_file_of_vectors_lacks(colour_vectors: Path) -> None:
    words = WordList(tuple(Word(name=name) for name in ("red", "xylophone", "red xylophone")))
    found = check_words(words, str(colour_vectors))
    assert found.without_vector == ["xylophone"] and found.in_pieces == ["red xylophone"]


def test_labels_of_any_length_and_any_number_of_levels(tmp_path: Path) -> None:
    file = tmp_path / "words.yaml"
    file.write_text("a: &a [x, x]\nb: &b [*a, *a]\nlabels: [*b, *b]\n")
    with pytest.raises(ZerotagError, match="label files have no aliases of YAML"):
        read_words(file)
    file.write_text(f"- {'a' * 1001}\n")
    with pytest.raises(ZerotagError, match="it has 1,001 characters; a label has at most 1,000"):
        read_words(file)
    chain = [{"name": f"w{i}", "parent": f"w{i + 1}"} for i in range(10_000)]
    with pytest.raises(ZerotagError, match="'w0' has more than 100 others above it"):
        WordList.of_plain(chain)
    with pytest.raises(ZerotagError, match="stands above itself"):
        WordList.of_plain([*chain, {"name": "w10000", "parent": "w0"}])
    assert len(WordList.of_plain(chain[:100]).above("w0")) == 100


def test_a_label_file_may_be_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_text, args=("dog\n",))
    writing.start()
    assert [word.name for word in read_words(pipe).words] == ["dog"]
    writing.join()
