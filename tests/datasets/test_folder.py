from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zerotag.datasets import load_dataset
from zerotag.datasets.folder import read_folder
from zerotag.errors import UnknownNameError, ZerotagError

ROWS: list[dict[str, Any]] = [
    {"path": "a.jpg", "labels": ["dog", "sea"], "split": "train"},
    {"path": "sub/b c.jpg", "labels": [], "split": "test"},
    {"path": "c.png", "labels": ["sea"], "split": "train"},
]
THING = {"box": [10, 20, 30, 40], "labels": ["dog"]}


def folder(root: Path, rows: list[Any] = ROWS, *, table: str | None = None) -> Path:
    for row in rows:
        if isinstance(row, dict) and isinstance(row.get("path"), str):
            (root / row["path"]).parent.mkdir(parents=True, exist_ok=True)
            (root / row["path"]).touch()
    (root / "labels.jsonl").write_text(table or "".join(json.dumps(row) + "\n" for row in rows))
    return root


def test_a_line_is_a_picture(tmp_path: Path) -> None:
    dataset = read_folder(folder(tmp_path))
    assert dataset.paths == ("a.jpg", "sub/b c.jpg", "c.png")
    assert dataset.labels == ("dog", "sea")
    assert dataset.annotations.tolist() == [[1, 1], [-1, -1], [-1, 1]]
    assert dataset.rows("test").tolist() == [1] and dataset.objects is None
    assert dataset.split("train").paths == ("a.jpg", "c.png")
    assert dataset.labels_of(0) == {"dog", "sea"}
    assert dataset.columns(["sea"]).tolist() == [1]
    with pytest.raises(UnknownNameError, match="did you mean: dog"):
        dataset.columns(["dogs"])


def test_csv_says_the_same(tmp_path: Path) -> None:
    lines = [f"{row['path']},{row['split']},{' ; '.join(row['labels'])}" for row in ROWS]
    (tmp_path / "csv").mkdir()
    (tmp_path / "jsonl").mkdir()
    other = folder(tmp_path / "csv")
    (other / "labels.jsonl").unlink()
    (other / "labels.csv").write_text("\ufeffpath,split,labels\r\n" + "\r\n".join(lines), encoding="utf-8")
    one, two = read_folder(folder(tmp_path / "jsonl")), read_folder(other)
    assert (one.paths, one.splits, one.labels) == (two.paths, two.splits, two.labels)
    np.testing.assert_array_equal(one.annotations, two.annotations)


def test_without_splits_one_picture_in_five_is_for_testing_by_its_path_alone(tmp_path: Path) -> None:
    rows = [{"path": f"{i}.jpg", "labels": ["dog"]} for i in range(500)]
    dataset = read_folder(folder(tmp_path, rows))
    assert 70 < len(dataset.rows("test")) < 130
    fewer = read_folder(folder(tmp_path, rows[::2]))
    assert fewer.splits == dataset.splits[::2]


def test_boxes_become_shares_of_the_picture(tmp_path: Path) -> None:
    dataset = read_folder(folder(tmp_path, [ROWS[0] | {"objects": [THING], "width": 100, "height": 50}, ROWS[2]]))
    assert dataset.objects is not None
    assert dataset.objects[0][0].box == (0.1, 0.4, 0.3, 0.8) and dataset.objects[0][0].labels == ("dog",)
    assert dataset.objects[1] == ()


def test_a_list_of_labels_gives_them_and_their_order(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("sea\nsky\ndog\n")
    assert read_folder(folder(tmp_path)).labels == ("sea", "sky", "dog")
    (tmp_path / "labels.txt").write_text("sea\nsky\n")
    with pytest.raises(ZerotagError, match=r"'a\.jpg' has the label 'dog', which labels\.txt does not list"):
        read_folder(tmp_path)


@pytest.mark.parametrize(
    ("rows", "table", "message"),
    [
        ([ROWS[0], ROWS[0]], None, "'a.jpg' is listed more than once"),
        ([{"path": "a.jpg", "labels": []}], None, "none of the 1 pictures"),
        ([], "\n", "lists no pictures"),
        ([], '{"path": "a.jpg"\n', "line 1 is not JSON"),
        (ROWS, json.dumps(ROWS[0]) + "\n\n[1]\n", "line 3"),
        ([], '{"labels": ["x"]}\n', "line 1: 'path': field required"),
        ([ROWS[0] | {"labels": "dog"}], None, "line 1: 'labels'"),
        ([ROWS[0] | {"split": "val"}], None, "line 1: 'split'"),
        ([ROWS[0] | {"objects": [THING]}], None, "no width and height"),
        ([], json.dumps(ROWS[0]) + "\n", "1 of 1 pictures are not there, such as 'a.jpg'"),
    ],
)
def test_a_table_that_does_not_hold_is_named(rows: list[Any], table: str | None, message: str, tmp_path: Path) -> None:
    with pytest.raises(ZerotagError) as caught:
        read_folder(folder(tmp_path, rows, table=table))
    assert message in str(caught.value) and str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("a.jpg,dog,sea", "line 2 has 3 cells under 2 headings; separate labels with ;"),
        ("a.jpg", "line 2 has 1 cells under 2 headings"),
        ('a.jpg,"dog,sea"', "line 2: the label 'dog,sea' contains a comma; separate labels with ;"),
        ("a.jpg,dog|sea", "contains a bar"),
        ('a.jpg,"dog\nsea"', "line 3: a cell of labels contains a line break"),
        ("a.jpg,\"['dog', 'sea']\"", "look like a list in brackets"),
        ('c.png,sea\na.jpg,"dog\n', "cannot be read .* look for a quotation mark"),
        (f"a.jpg,{'d' * 200_000}", "line 2 cannot be read"),
        ("../a.jpg,dog", r"line 2: '\.\./a\.jpg' leads out of the folder; write the picture's full path"),
        ("C:\\pictures\\a.jpg,dog", r"such as 'C:\\pictures\\a\.jpg' \(a path of Windows\) on line 2"),
        (f"c.png,sea\n{'a' * 5000},dog", "1 of 2 pictures are not there, such as 'aaaa.*…' on line 3"),
        ("a.jpg,dog\n./a.jpg,sea", "line 3: the picture './a.jpg' is listed more than once, first on line 2"),
        ("a.jpg,dog\0", "NUL byte on line 2"),
    ],
)
def test_a_line_of_csv_that_may_be_meant_otherwise_is_refused(lines: str, message: str, tmp_path: Path) -> None:
    (folder(tmp_path) / "labels.jsonl").unlink()
    (tmp_path / "labels.csv").write_text(f"path,labels\n{lines}\n")
    with pytest.raises(ZerotagError, match=message) as caught:
        read_folder(tmp_path)
    assert str(tmp_path / "labels.csv") in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "table",
    [
        'path;labels\na.jpg;"dog;sea"\nsub/b c.jpg;\n',
        'sep=;\r\nPath;Labels\r\na.jpg;"dog;sea"\r\nsub/b c.jpg;\r\n',
        "path\tlabels\na.jpg\tdog;sea\nsub/b c.jpg\t\n",
        " PATH , Labels ,note\ra.jpg , dog; sea\u200b;,x\r,,\rsub\\b c.jpg,\r",
        "path,labels,\na.jpg,dog;sea,\nsub/b c.jpg,,\n",
    ],
)
def test_csv_as_spreadsheets_write_it(table: str, tmp_path: Path) -> None:
    (folder(tmp_path) / "labels.jsonl").unlink()
    (tmp_path / "labels.csv").write_bytes(table.encode())
    dataset = read_folder(tmp_path)
    assert dataset.paths == ("a.jpg", "sub/b c.jpg") and dataset.labels == ("dog", "sea")
    assert dataset.annotations[:].tolist() == [[1, 1], [-1, -1]]


def test_a_label_may_contain_a_comma_where_that_is_plain(tmp_path: Path) -> None:
    (folder(tmp_path) / "labels.jsonl").unlink()
    (tmp_path / "labels.csv").write_text('path,labels\na.jpg,"Paris, France;"\nc.png,"dog;Nice, France"\n')
    assert read_folder(tmp_path).labels == ("Nice, France", "Paris, France", "dog")
    (tmp_path / "labels.csv").write_text('path,labels\na.jpg,"Paris, France"\n')
    (tmp_path / "labels.txt").write_text('"Paris, France"\n')
    assert read_folder(tmp_path).labels == ("Paris, France",)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,labels,Labels\na.jpg,dog,sea\n")
    with pytest.raises(ZerotagError, match="two columns are named labels"):
        read_folder(tmp_path)


def test_labels_may_contain_any_character_and_nothing_around_them(tmp_path: Path) -> None:
    labels = [f"sun{sign}set" for sign in "\x0b\x1c\x85\u2028\u2029"]
    rows = [json.dumps({"path": "a.jpg", "labels": [*labels, "red ", "red"]}, ensure_ascii=False)]
    rows += [json.dumps({"path": "c.png", "labels": ["cafe\u0301", "\ufeffcaf\u00e9"]}, ensure_ascii=False)]
    dataset = read_folder(folder(tmp_path, table="\r\n".join(rows)))
    assert dataset.labels_of(0) == {*labels, "red"} and dataset.labels_of(1) == {"caf\u00e9"}


def test_paths_of_windows_and_of_macos_are_found(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "caf\u00e9.jpg").touch()
    (tmp_path / "cafe\u0301.jpg").touch()
    rows = [{"path": "sub\\cafe\u0301.jpg", "labels": ["a"]}, {"path": "caf\u00e9.jpg ", "labels": ["b"]}]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_folder(tmp_path).paths == ("sub/caf\u00e9.jpg", "cafe\u0301.jpg")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"path": "a.jpg", "labels": ' + "[" * 100_000 + "]" * 100_000 + "}", "line 1 is nested too deep"),
        ('{"path": "a.jpg", "labels": ["x"], "width": ' + "9" * 10_000 + "}", "line 1 .*a number of 10,000 digits"),
        ('{"path": "a.jpg", "labels": ["x"], "labels": ["y"]}', "line 1 .*the key 'labels' comes twice"),
        ('{"path": "a.jpg", "labels": ["x"], "rejected": ["x"]}', "line 1: the label 'x' is in both"),
        ('{"path": "a.jpg", "labels": [" \\u200b"]}', "line 1: 'labels.0': it is blank"),
        ('{"path": "a.jpg", "labels": ["\\ud800"]}', "line 1: 'labels.0': it contains half a character"),
        ('{"path": "\\udc80", "labels": ["x"]}', "line 1: 'path': it contains half a character"),
        ('{"path": "\\u0000", "labels": ["x"]}', "are not there"),
        ('[{"path": "a.jpg", "labels": ["x"]}]', 'line 1: {"path": "a.jpg", "labels": .* was expected'),
        ('{"path": "a.jpg", "labels": [], "objects": [{"box": [0, 0, NaN, 1], "labels": []}]}', "finite number"),
    ],
)
def test_a_damaged_line_of_json_is_named(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ZerotagError, match=message) as caught:
        read_folder(folder(tmp_path, table=line))
    assert str(tmp_path / "labels.jsonl") in str(caught.value)


def test_a_second_table_is_reported(tmp_path: Path) -> None:
    (folder(tmp_path) / "labels.csv").write_text("path,labels\nc.png,sun\n")
    assert read_folder(tmp_path).notes == ("labels.csv is not read, since labels.jsonl lies beside it",)


def test_a_folder_without_a_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ZerotagError, match=r"neither labels\.jsonl nor labels\.csv"):
        read_folder(tmp_path)
    (tmp_path / "labels.csv").write_text("file,tags\n")
    with pytest.raises(ZerotagError, match="must name the columns path and labels"):
        read_folder(tmp_path)
    (tmp_path / "labels.csv").write_bytes("path,labels\ncaf\u00e9".encode("latin-1"))
    with pytest.raises(ZerotagError, match="no UTF-8 text"):
        read_folder(tmp_path)
    with pytest.raises(ZerotagError, match="there is no folder"):
        read_folder(tmp_path / "none")


def test_a_name_that_is_no_data_set_is_named_and_one_not_built_yet_too() -> None:
    with pytest.raises(ZerotagError, match="neither a folder nor one of pocket-scenes"):
        load_dataset("pocket-scene")
    with pytest.raises(ZerotagError, match="run: zerotag data build pocket-scenes"):
        load_dataset("pocket-scenes")
