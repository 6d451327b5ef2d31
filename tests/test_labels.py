from __future__ import annotations

from pathlib import Path

import pytest

from zerotag.errors import UnknownNameError, ZerotagError
from zerotag.labels import LabelSet, read_label_file, split_labels

WORDS = [f"word{i}" for i in range(50)]


def test_a_split_is_drawn_by_seed_and_loses_nothing() -> None:
    one, same, other = (split_labels(WORDS, unseen_fraction=0.2, seed=seed) for seed in (3, 3, 4))
    assert one == same != other
    assert len(one.unseen) == 10 and set(one.all) == set(WORDS) and len(one.all) == 50
    assert list(one.seen) == [word for word in WORDS if word in one.seen]
    assert list(one.unseen) == [word for word in WORDS if word in one.unseen]


def test_settings_rank_unseen_or_all_labels() -> None:
    labels = LabelSet(("a", "b"), ("c",))
    assert labels.all[labels.ranked("zsl")] == ("c",)
    assert labels.all[labels.ranked("gzsl")] == ("a", "b", "c")
    with pytest.raises(UnknownNameError, match="no setting called 'all'"):
        labels.ranked("all")
    with pytest.raises(ZerotagError, match="there are none"):
        LabelSet(("a",)).ranked("zsl")
    assert LabelSet(("a", "b")).ranked("multilabel") == slice(0, 2)
    with pytest.raises(ZerotagError, match="1 are unseen; train with"):
        labels.ranked("multilabel")


@pytest.mark.parametrize(
    ("seen", "unseen", "message"),
    [
        ((), ("a",), "no seen labels"),
        (("a", "b"), ("b",), "both seen and unseen: 'b'"),
        (("a", "a"), (), "seen labels that come more than once: 'a'"),
        (("a",), ("b", "b"), "unseen labels that come more than once: 'b'"),
        (tuple("abcdefgh"), tuple("abcdefgh"), "'a', 'b', 'c', 'd', 'e' and 3 more"),
    ],
)
def test_labels_that_contradict_themselves_are_named(
    seen: tuple[str, ...], unseen: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ZerotagError, match=message):
        LabelSet(seen, unseen)


def test_a_label_file_has_a_label_a_line(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_bytes("\ufeff# my words\r\nhot dog\r\n\r\n  sea \nČeština".encode())
    assert read_label_file(file) == ["hot dog", "sea", "Čeština"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no labels"),
        (b"# nothing\n\n", "holds no labels"),
        (b"dog\ncat\ndog \n", "'dog' stands on line 1 and again on 3"),
        ("dog\ncaf\u00e9".encode("latin-1"), r"no UTF-8 text \(byte 7\)"),
    ],
)
def test_a_label_file_that_does_not_hold_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "words.txt"
    file.write_bytes(content)
    with pytest.raises(ZerotagError, match=message) as caught:
        read_label_file(file)
    assert str(file) in str(caught.value)


def test_a_label_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ZerotagError, match=r"none\.txt cannot be read \(No such file"):
        read_label_file(tmp_path / "none.txt")
