"""Tables of a folder of one's own that may be meant otherwise than they would be read: refused, or named in a check."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from zerotag.datasets.boxes import Boxes
from zerotag.datasets.check import check
from zerotag.datasets.folder import read_folder
from zerotag.datasets.pictures import PictureDataset
from zerotag.errors import ZerotagError


def of_csv(root: Path, text: str, name: str = "labels.csv") -> PictureDataset:
    for picture in ("a.jpg", "b.jpg"):
        (root / picture).touch()
    (root / name).write_text(text, encoding="utf-8")
    return read_folder(root)


def of_rows(root: Path, *rows: dict[str, Any]) -> PictureDataset:
    return of_csv(root, "".join(json.dumps(row) + "\n" for row in rows), "labels.jsonl")


@pytest.mark.parametrize("headings", ["path,labels,,", "path,labels,\u00a0,", ",path,labels,"])
def test_a_cell_below_a_blank_heading_is_refused(headings: str, tmp_path: Path) -> None:
    lead = "," if headings.startswith(",") else ""
    with pytest.raises(ZerotagError, match=r"line 2 has the cell 'blue' in a column without a heading; separate"):
        of_csv(tmp_path, f"{headings}\n{lead}a.jpg,red,blue\n")
    assert of_csv(tmp_path, f"{headings}\n{lead}a.jpg,red\n").labels == ("red",)


def test_columns_that_are_not_read_are_named(tmp_path: Path) -> None:
    dataset = of_csv(tmp_path, "path;labels;note;split;subset\na.jpg;red;blue;train;x\n")
    assert dataset.notes == (
        "labels.csv: the column 'subset' is not read; was 'split' meant?",
        "labels.csv: columns that are not read: 'note'",
    )


@pytest.mark.parametrize(
    ("key", "meant"), [("Rejected", "rejected"), ("reject", "rejected"), ("Split_", "split"), ("subset", "split")]
)
def test_keys_near_to_those_that_are_read_are_named(key: str, meant: str, tmp_path: Path) -> None:
    dataset = of_rows(tmp_path, {"path": "a.jpg", "labels": ["x"], key: ["y"], "tags": [], "camera": "z"})
    assert dataset.notes == (f"labels.jsonl: the key '{key}' is not read; was '{meant}' meant?",)


def test_rejected_labels_of_csv_are_those_of_jsonl(tmp_path: Path) -> None:
    dataset = of_csv(tmp_path, "path,labels,Rejected\na.jpg,red,blue; sea\nb.jpg,blue,\n")
    assert dataset.labels == ("blue", "red", "sea")
    assert dataset.annotations[:].tolist() == [[-1, 1, -1], [1, 0, 0]]
    with pytest.raises(ZerotagError, match="line 2: the label 'red' is in both labels and rejected"):
        of_csv(tmp_path, "path,labels,rejected\na.jpg,red,red\n")
    with pytest.raises(ZerotagError, match="contains a comma"):
        of_csv(tmp_path, 'path,labels,rejected\na.jpg,red,"blue,sea"\n')


def test_labels_of_boxes_are_labels_of_the_picture(tmp_path: Path) -> None:
    row = {"path": "a.jpg", "labels": ["red"], "width": 9, "height": 9}
    row["objects"] = [{"box": [0, 0, 5, 5], "labels": ["dog"]}]
    dataset = of_rows(tmp_path, row, {"path": "b.jpg", "labels": []})
    assert dataset.labels == ("dog", "red") and dataset.annotations[:].tolist() == [[1, 1], [-1, -1]]
    with pytest.raises(ZerotagError, match="line 1: the label 'dog' is in both objects and rejected"):
        of_rows(tmp_path, row | {"rejected": ["dog"]})
    (tmp_path / "labels.txt").write_text("red\n")
    with pytest.raises(ZerotagError, match=r"labels\.jsonl, line 1: 'a\.jpg' has the label 'dog', which labels\.txt"):
        of_rows(tmp_path, row)


def test_a_picture_is_one_however_its_path_is_written(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.jpg").touch()
    (tmp_path / "link").symlink_to(tmp_path / "sub")
    (tmp_path / "c.jpg").symlink_to(tmp_path / "sub" / "a.jpg")
    for other in (str(tmp_path / "sub" / "a.jpg"), "link/a.jpg", "c.jpg", "sub/../sub/a.jpg"):
        with pytest.raises(ZerotagError, match=r"line 3: .* is listed more than once, first on line 2"):
            of_csv(tmp_path, f"path,labels\nsub/a.jpg,red\n{other},blue\n")


@pytest.mark.parametrize(
    ("cell", "labels"),
    [
        (' "red;blue"', {"red", "blue"}),
        ("'red;blue'", {"red", "blue"}),
        ("“red;blue”", {"red", "blue"}),
        ("“red”;“blue”", {"red", "blue"}),
        ('"“Paris, France”"', {"Paris, France"}),
        ('"“Paris, France”;red"', {"Paris, France", "red"}),
        ("rock 'n' roll", {"rock 'n' roll"}),
        ("dogs'", {"dogs'"}),
        ('5"" disk', {'5"" disk'}),
    ],
)
def test_quotation_marks_around_labels_are_no_part_of_them(cell: str, labels: set[str], tmp_path: Path) -> None:
    assert of_csv(tmp_path, f"path,labels\na.jpg,{cell}\n").labels_of(0) == labels


@pytest.mark.parametrize("cell", ["'red;blue", '"""red;blue"', "red;blue”", "„red;blue", "«red"])
def test_a_lone_quotation_mark_is_refused(cell: str, tmp_path: Path) -> None:
    with pytest.raises(ZerotagError, match=r"line 2: .* quotation mark on one side"):
        of_csv(tmp_path, f"path,labels\na.jpg,{cell}\n")


@pytest.mark.parametrize("sign", list("，、،；؛｜"))
def test_separators_of_other_scripts_are_refused(sign: str, tmp_path: Path) -> None:
    with pytest.raises(ZerotagError, match=r"line 2: the label .* contains a .*; separate labels with ;"):
        of_csv(tmp_path, f"path,labels\na.jpg,狗{sign}猫\n")


def test_boxes_are_cut_off_at_the_edge_and_those_without_area_left_out(tmp_path: Path) -> None:
    boxes = [[0, 0, 50, 50], [-20, 0, 50, 150], [50, 0, 10, 9], [5, 5, 5, 9], [200, 0, 300, 9], [0, 0, 100.5, 50]]
    objects = [{"box": box, "labels": ["dog"]} for box in boxes]
    row = {"path": "a.jpg", "labels": [], "split": "train", "width": 100, "height": 100, "objects": objects}
    dataset = of_rows(tmp_path, row)
    assert dataset.objects is not None
    assert [thing.box for thing in dataset.objects[0]] == [(0, 0, 0.5, 0.5), (0, 0, 0.5, 1), (0, 0, 1, 0.5)]
    empty, cut = dataset.notes
    assert "3 boxes are inverted" in empty and "1 boxes reach beyond" in cut
    row["objects"] = [{"box": [0.1, 0.1, 0.5, 1], "labels": ["dog"]}]
    assert "1 boxes lie within the first pixel" in of_rows(tmp_path, row).notes[0]


def test_boxes_of_huge_numbers_are_cut_off() -> None:
    assert Boxes().shares((-1e308, 0.0, 1e308, 5.0), 1e-300, 10.0) == (0, 0, 1, 0.5)


@pytest.mark.parametrize("digits", [20, 400])
def test_a_side_of_too_many_pixels_is_refused(digits: int, tmp_path: Path) -> None:
    thing = {"box": [0, 0, 1, 1], "labels": []}
    row = {"path": "a.jpg", "labels": ["x"], "width": int("9" * digits), "height": 5, "objects": [thing]}
    with pytest.raises(ZerotagError, match="line 1: 'width': input should be less than or equal"):
        of_rows(tmp_path, row)
    with pytest.raises(ZerotagError, match=r"line 1: 'objects\.0\.box\.0'"):
        of_rows(tmp_path, row | {"width": 5, "objects": [thing | {"box": [int("9" * 400), 0, 1, 1]}]})


def test_what_programs_write_for_nothing_is_named(tmp_path: Path) -> None:
    dataset = of_csv(tmp_path, "path,labels,rejected\na.jpg,NA,\\N\nb.jpg,NA,nan;red\n")
    assert [note for note in dataset.notes if "only label" in note] == [
        "labels.csv: 'NA' is the only label of 2 pictures; leave it out if it stands for none",
        "labels.csv: '\\N' is the only label of 1 pictures; leave it out if it stands for none",
    ]


def test_names_of_tables_are_found_in_any_case(tmp_path: Path) -> None:
    (tmp_path / "Labels.TXT").write_text("red\nsea\n")
    assert of_csv(tmp_path, "path,labels\na.jpg,red\n", "Labels.CSV").labels == ("red", "sea")
    assert check(str(tmp_path)).layout == "folder"


def test_a_folder_without_a_table_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("tags.csv", "sub/instances.json.zip", "a.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(ZerotagError, match=r"neither labels\.jsonl nor labels\.csv, but 'tags\.csv', 'sub/instances"):
        read_folder(tmp_path)
