"""Files of word vectors: every format, and files that are damaged or hold something else."""

from __future__ import annotations

import gzip
import pickle
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from word_files import WORDS, fasttext_binary, fasttext_model, fasttext_text, glove, gzipped, unit, word2vec
from zerotag.errors import MissingPackageError, ZerotagError
from zerotag.vectors import label_vectors
from zerotag.word_vector_files import FASTTEXT_MAGIC, look_up

pytestmark = pytest.mark.usefixtures("cache")


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


def nus_wide_lists(folder: Path) -> None:
    (folder / "TagList1k.txt").write_text("sea\ndog\ncat\n")
    (folder / "Concepts81.txt").write_text("lion\ncat\n")


def fasttext_start(longest: int) -> bytes:
    """The settings of a fastText file and a dictionary of one word."""
    settings = (100, 5, 5, 5, 5, 1, 2, 2, 0, 3, longest, 100)
    return FASTTEXT_MAGIC + struct.pack("<i12id3i2q", 12, *settings, 1e-4, 1, 1, 0, 1, 0) + b"dog\0" + bytes(9)


@pytest.mark.parametrize("layout", ["two arrays", "one array"])
def test_pickles_take_their_labels_from_the_lists(tmp_path: Path, layout: str) -> None:
    nus_wide_lists(tmp_path)
    tags = np.array([WORDS["sea"], WORDS["dog"], [9.0, 9.0, 9.0]], np.float32)
    concepts = np.array([WORDS["lion"], WORDS["cat"]], np.float32)
    alphabetical = np.array([WORDS[label] for label in ("cat", "dog", "lion", "sea")], np.float32)
    file = tmp_path / "contexts" / "vectors.pkl"
    file.parent.mkdir()
    file.write_bytes(pickle.dumps([tags, concepts] if layout == "two arrays" else alphabetical.T))
    W, report = label_vectors(["dog", "cat", "lion", "sea"], file)
    torch.testing.assert_close(W, unit(WORDS[label] for label in ("dog", "cat", "lion", "sea")))
    assert report.dimension == 3
    with pytest.raises(ZerotagError, match="'tree'"):
        label_vectors(["dog", "tree"], file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([np.ones((3, 2)), np.ones((3, 2))], "vectors of 3 labels, where the lists of labels have 2"),
        (np.ones((3, 5)), "vectors of 5 labels, where the lists of labels have 4"),
        ({"dog": [1, 2]}, "neither two arrays nor one"),
        ([np.ones((2, 2)), np.array(["lion", "cat"])], "no table of numbers"),
        ([np.ones((2, 2)), np.array(2.0)], "no table of numbers"),
        ([np.ones((2, 2)), np.ones((2, 3))], "vectors of 2 and 3 numbers"),
        ([np.full((3, 2), 1e300), np.full((2, 2), 1e300)], "not finite"),
        (Path("dog"), "no pickle of plain data"),
    ],
)
def test_pickles_of_something_else(tmp_path: Path, content: object, message: str) -> None:
    nus_wide_lists(tmp_path)
    file = tmp_path / "vectors.pkl"
    file.write_bytes(pickle.dumps(content))
    with pytest.raises(ZerotagError, match=message):
        label_vectors(["dog"], file)


def test_a_pickle_without_lists_of_labels(tmp_path: Path) -> None:
    file = tmp_path / "vectors.pkl"
    file.write_bytes(pickle.dumps(np.ones((3, 4))))
    with pytest.raises(ZerotagError, match=r"TagList1k.txt is not there"):
        label_vectors(["dog"], file)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("more.bin", b"1000000000 300\n" + b"dog \0\0\x80?" * 9, "too small for 1000000000 words of 300 numbers"),
        ("digits.txt", b"9" * 5000 + b" 3\ndog 1 2 3\n", "holds no word vectors"),
        ("line.txt.gz", gzip.compress(b"dog 1 2 3\n" + b"a" * 2**21), "line 2 has 1,048,576 bytes or more"),
        ("table.bin", fasttext_start(longest=6) + struct.pack("<?2q", False, 2**40, 300), "1099511627776 by 300"),
        ("letters.bin", fasttext_start(longest=10**9) + struct.pack("<?2q", False, 1, 3), "up to 1000000000 letters"),
        ("ends.bin", fasttext_start(longest=6), "no whole word-vector file"),
    ],
)
def test_headers_that_promise_more_than_the_file_holds(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    pytest.importorskip("gensim")
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(ZerotagError, match=message):
        look_up(file, ["dog"])
