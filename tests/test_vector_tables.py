"""The table of label vectors in the cache: used again, made anew where damaged, shared between processes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch

from word_files import WORDS, glove, unit
from zerotag import vectors
from zerotag.errors import UnwritableError
from zerotag.vectors import VectorReport, label_vectors
from zerotag.word_vector_files import LabelVector, look_up

pytestmark = pytest.mark.usefixtures("cache")


def only_table(cache: Path) -> Path:
    (table,) = (cache / "vectors").glob("*.safetensors")
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


def test_a_table_of_before_is_not_read_in_which_unknown_words_have_a_vector(cache: Path) -> None:
    row = np.ones(384, np.float32)
    now = vectors._open("minilm").table
    before = now.with_name(now.name.replace("-v3", "-v2"))
    assert before != now
    for table in (before, now):  # the later one shows that such a table would be read
        vectors._write_table(table, {"猫": LabelVector(row), "dog": LabelVector(row)})
        missing = label_vectors(["猫", "dog"], allow_missing=True)[1].missing
        assert missing == (("猫",) if table == before else ())
        now.unlink()


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


def test_of_two_at_once_one_looks_up_and_the_other_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, asked, together = glove(tmp_path), [], Barrier(2)

    def counted(path: Path, labels: list[str]) -> Any:
        asked.extend(labels)
        return look_up(path, labels)

    def work(labels: list[str]) -> int:
        together.wait()
        return len(label_vectors(labels, file)[0])

    monkeypatch.setattr(vectors, "look_up", counted)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(work, [["sea", "cat"], ["dog", "cat"]])) == [2, 2]
    assert sorted(asked) == ["cat", "dog", "sea"]
    assert label_vectors(["sea", "dog", "cat"], file)[0].shape == (3, 3)
    assert len(asked) == 3


def test_a_table_that_cannot_be_locked_is_read(tmp_path: Path, cache: Path) -> None:
    file = glove(tmp_path)
    label_vectors(["dog"], file)
    (lock,) = (cache / "vectors").glob(".*.lock")
    lock.unlink()
    lock.mkdir()
    assert len(label_vectors(["dog"], file)[0]) == 1
    with pytest.raises(UnwritableError, match="cannot be written"):
        label_vectors(["dog", "cat"], file)


def test_what_was_encoded_before_it_was_stopped_is_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [f"label {number}" for number in range(5)]
    asked: list[str] = []

    def stopped_at_the_last(some: list[str]) -> dict[str, LabelVector]:
        asked.extend(some)
        if labels[-1] in some:
            raise KeyboardInterrupt
        return {label: LabelVector(np.ones(3, np.float32)) for label in some}

    monkeypatch.setattr(vectors.minilm, "encode", stopped_at_the_last)
    monkeypatch.setattr(vectors, "ENCODED_AT_ONCE", 2)
    told: list[tuple[str, int, int]] = []
    with pytest.raises(KeyboardInterrupt):
        label_vectors(labels, progress=lambda *step: told.append(step))
    assert told == [("Finding label vectors", 2, 5), ("Finding label vectors", 4, 5)]
    assert vectors._read_table(only_table(cache)).keys() == set(labels[:4])
    assert asked == labels
    asked.clear()
    label_vectors(labels[:4], progress=lambda *step: told.append(step))
    assert not asked
    assert len(told) == 2


def test_many_threads_at_once(tmp_path: Path) -> None:
    file = glove(tmp_path)
    labels = [word for word in WORDS for _ in range(3)]
    with ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda word: label_vectors([word], file)[0][0], labels))
    torch.testing.assert_close(torch.stack(rows), unit(WORDS[word] for word in labels))
    assert isinstance(label_vectors(list(WORDS), file)[1], VectorReport)
