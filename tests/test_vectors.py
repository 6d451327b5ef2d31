"""Vectors of labels: phrases, case, words without vector, centring."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from word_files import WORDS, glove, unit
from zerotag.errors import ZerotagError
from zerotag.vectors import label_vectors

pytestmark = pytest.mark.usefixtures("cache")


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("DOG", ["dog"]),
        ("ice cream", ["ice-cream"]),
        ("Ice_Cream", ["ice-cream"]),
        ("New York", ["New_York"]),
        ("Sea Lion", ["sea", "lion"]),
        ("sea_lion", ["sea", "lion"]),
        ("cat-dog", ["cat", "dog"]),
    ],
)
def test_how_a_label_is_found(tmp_path: Path, label: str, words: list[str]) -> None:
    W, report = label_vectors([label], glove(tmp_path))
    torch.testing.assert_close(W, unit([np.mean([WORDS[word] for word in words], axis=0)]))
    assert report.partial == {}


def test_exact_case_goes_before_lower_case(tmp_path: Path) -> None:
    file = glove(tmp_path, {"turkey": [1.0, 0.0], "Turkey": [0.0, 1.0]})
    assert torch.equal(label_vectors(["Turkey", "turkey"], file)[0], torch.tensor([[0.0, 1.0], [1.0, 0.0]]))


@pytest.mark.parametrize("label", ["cafe\u0301", "Cafe\u0301", "cafe\u0301_dog"])
def test_an_accent_may_be_a_character_of_its_own(tmp_path: Path, label: str) -> None:
    file = glove(tmp_path, {"caf\u00e9": [1.0, 0.0], "dog": [0.0, 1.0]})
    W, report = label_vectors([label], file)
    assert W[0, 0] > 0.5 and report.partial == {}


def test_the_first_of_equal_words_counts(tmp_path: Path) -> None:
    file = tmp_path / "twice.txt"
    file.write_text("dog 1 0\ndog 0 1\n")
    assert torch.equal(label_vectors(["dog"], file)[0], torch.tensor([[1.0, 0.0]]))


def test_words_without_vector(tmp_path: Path) -> None:
    file = glove(tmp_path)
    labels = ["sea zebra", "dog", "zebra", "okapi herd"]
    with pytest.raises(ZerotagError, match=r"2 of 4 labels have no vector .*'zebra', 'okapi herd'; .*--allow-missing"):
        label_vectors(labels, file)
    for _ in range(2):  # the second time from the cache
        W, report = label_vectors(labels, file, allow_missing=True)
        assert torch.equal(W, unit([WORDS["sea"], WORDS["dog"]]))
        assert report.labels == ("sea zebra", "dog")
        assert report.missing == ("zebra", "okapi herd")
        assert report.partial == {"sea zebra": ("zebra",)}
    assert report.to_dict() == json.loads(json.dumps(report.to_dict()))
    assert report.to_dict()["partial"] == {"sea zebra": ["zebra"]}


def test_many_missing_labels_are_listed_in_short_and_none_left_is_an_error(tmp_path: Path) -> None:
    labels = [f"x{i}" for i in range(7)]
    for allowed in (False, True):
        with pytest.raises(ZerotagError, match="'x4' and 2 more; choose other words") as caught:
            label_vectors(labels, glove(tmp_path), allow_missing=allowed)
        assert "allow" not in str(caught.value)


def test_centring_takes_the_mean_of_unit_vectors_away(tmp_path: Path) -> None:
    file = glove(tmp_path)
    seen = ["cat", "dog", "sea", "okapi"]
    W, report = label_vectors(["lion", "cat"], file, centre_on=seen)
    mean = unit(WORDS[word] for word in seen[:3]).mean(0)
    torch.testing.assert_close(W, unit((unit([WORDS["lion"], WORDS["cat"]]) - mean).numpy()))
    assert report.centred
    assert not report.missing, "labels to centre on are not those asked for"
    alone, _ = label_vectors(["cat"], file, centre_on=seen)
    assert torch.equal(alone[0], W[1]), "a label's vector does not depend on the labels beside it"


def test_nothing_left_of_a_vector(tmp_path: Path) -> None:
    file = glove(tmp_path, {"dog": [1.0, 0.0], "puppy": [2.0, 0.0], "void": [0.0, 0.0]})
    with pytest.raises(ZerotagError, match="leaves nothing of the vector of 'puppy'"):
        label_vectors(["puppy"], file, centre_on=["dog"])
    with pytest.raises(ZerotagError, match=r"all numbers are zero in .* for 'void'"):
        label_vectors(["dog", "void"], file)
    with pytest.raises(ZerotagError, match=r"none of the labels to centre on has a vector .*'okapi'"):
        label_vectors(["dog"], file, centre_on=["okapi"])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "there are no labels"),
        (["dog", " "], "number 2 of 2 is blank"),
        (["dog", "cat", "dog"], "more than once: 'dog'"),
        ("dog", "a list of words"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, labels: list[str] | str, message: str) -> None:
    file = glove(tmp_path)
    with pytest.raises(ZerotagError, match=message):
        label_vectors(labels, file)
    with pytest.raises(ZerotagError, match=message.replace("labels", "labels to centre on")):
        label_vectors(["sea"], file, centre_on=labels)
