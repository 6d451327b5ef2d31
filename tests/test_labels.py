from __future__ import annotations

import re
from pathlib import Path

import pytest

from zerotag.errors import UnknownNameError, ZerotagError
from zerotag.labels import LabelSet, as_cell, clean_label, lookalikes, of_cell, read_label_file, split_labels

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
        ("dog\ncaf\u00e9".encode("latin-1"), r"no UTF-8 text \(byte 7\); save it as UTF-8"),
        ("dog\ncat\n".encode("utf-16"), "is UTF-16 text; save it as UTF-8"),
        ("dog\ncat\n".encode("utf-16-le"), "NUL byte on line 1"),
        (b"dog\r\nca\0t", "NUL byte on line 2"),
        ("caf\u00e9\ncafe\u0301".encode(), "'caf\u00e9' stands on line 1 and again on 2"),
        ("dog\ndog\u200b".encode(), "'dog' stands on line 1 and again on 2"),
        (b"dog\n#beach\n", "line 2: '#beach' may be a comment or a label; write '# beach' for a comment"),
        ("#\N{CAT}".encode(), "may be a comment or a label"),
        (b"# words\nLabels\ndog", "line 2: 'Labels' looks like a heading"),
        (b"dog,cat", "line 1: 'dog,cat' contains a comma; write one label a line"),
        (b"dog;cat", "contains a semicolon"),
        (b"dog|cat", "contains a bar"),
        (b"dog\t0.5", "contains a tab"),
        (b"- dog\n- cat", r"begins like an item of a list; .* name the file \.yaml"),
        *(
            (
                f"cat\n{item} dog".encode(),
                f"line 2: '.*' begins like an item of a list; take the '{re.escape(item)}' away",
            )
            for item in ("1.", "12)", "(3)", "+", "*", "•", "–", "—", "▪", "◦", "✓", "[x]", "[ ]")
        ),
        *((f"狗{sign}猫".encode(), "line 1: .* contains a (comma|semicolon|bar)") for sign in "，、；،؛｜"),
        (b'[\n"dog"\n]', r"line 1: '\[' is in brackets"),
        (b'["dog"]', "is in brackets"),
        (b"dog\n{hound}", r"line 2: '\{hound\}' is in brackets, .* aliases for synonyms"),
        (b"Animals\n\tdog\n\t\t{hound}", "line 2: 'dog' is indented by a tab"),
        (b"Labels:\ndog", "line 1: 'Labels:' looks like a heading"),
        (b"dog\nPlants:\noak", "line 2: 'Plants:' looks like a heading"),
    ],
)
def test_a_label_file_that_does_not_hold_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    file = tmp_path / "words.txt"
    file.write_bytes(content)
    with pytest.raises(ZerotagError, match=message) as caught:
        read_label_file(file)
    assert str(file) in str(caught.value)


def test_a_line_ends_at_a_line_end_alone(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    labels = [f"sun{sign}set" for sign in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"]
    file.write_bytes("\r".join(labels).encode())
    assert read_label_file(file) == labels


def test_quotation_marks_make_one_label_of_a_line(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text(
        "“Nice, France”\n„Köln, Dom“\n«[x] y»\n"
        '"label"\n\'Paris, France\'\n"#beach"\n"- dog"\n rock \'n\' roll\n""\n# a comment\n#\n#---\n',
        "utf-8",
    )
    curly = ["Nice, France", "Köln, Dom", "[x] y"]
    assert read_label_file(file) == [*curly, "label", "Paris, France", "#beach", "- dog", "rock 'n' roll", '""']


def test_a_label_has_nothing_around_it_that_is_not_seen() -> None:
    assert {
        clean_label(text)
        for text in (" red\t", "\ufeffred", "red\u200b \u00a0", "\u2028red\u00ad", "\u202ared\u202c", "\u2067red\u2069")
    } == {"red"}
    assert clean_label("cafe\u0301") == "caf\u00e9"
    astronaut, scotland = "\U0001f469\u200d\U0001f680", "\U0001f3f4\U000e0067\U000e0062\U000e007f"
    assert clean_label(astronaut) == astronaut and clean_label(scotland) == scotland


def test_labels_that_hardly_differ() -> None:
    labels = ["Red", "red", "sea", "traffic_light", "traffic  light", "ﬁre", "fire", "do\u00adg", "dog"]
    assert lookalikes(labels) == [
        ("Red", "red"),
        ("traffic_light", "traffic  light"),
        ("ﬁre", "fire"),
        ("do\u00adg", "dog"),
    ]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-dog", "@home", "＝1", "'=1", "''-x", "'quoted'", "dog"])
def test_no_text_is_a_formula_in_a_cell_and_it_comes_back(text: str) -> None:
    assert of_cell(as_cell(text)) == text and as_cell(text)[0] not in "=+-@＝"


def test_what_a_terminal_would_obey_is_escaped_in_a_cell() -> None:
    assert as_cell("\t=1\x1b[31m\u202e") == r"\t=1\x1b[31m\u202e"


def test_a_label_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ZerotagError, match=r"none\.txt cannot be read \(No such file"):
        read_label_file(tmp_path / "none.txt")


def test_what_is_around_a_label_is_taken_off_in_one_go() -> None:
    assert clean_label(" \u200b" * 200_000 + "dog" + "\ufeff\t" * 200_000) == "dog"


def test_a_line_without_end_is_no_label(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("dog\n" + "a" * 10**7)
    with pytest.raises(ZerotagError, match="line 2 has 10,000,000 characters, a label has at most 1,000"):
        read_label_file(tmp_path / "words.txt")
