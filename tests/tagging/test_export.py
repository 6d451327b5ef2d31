"""Every format: tags come back as they went in, large or small, and nothing half-written stays."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from zerotag.datasets.folder import read_folder
from zerotag.errors import UNSHOWN, UnknownNameError, ZerotagError
from zerotag.labels import of_cell
from zerotag.tagging.export import EXPORTERS, TaggedPicture, Tagging, export
from zerotag.tagging.tagger import Tag

Found = dict[str, list[tuple[str, float]]]
PICTURES = [
    TaggedPicture("a.jpg", "/p/a.jpg", 40, 30, [Tag("sea", 2.5, True, 0.75), Tag('über, "rot"', 1.25, False, 0.5)]),
    TaggedPicture("sub dir/b.png", "/p/sub dir/b.png", 10, 20, [Tag("dog", -1.5, False, 0.25)]),
    TaggedPicture("none.png", "/p/none.png", 1, 1, []),
]
LABELS = ("sea", 'über, "rot"', "dog", "never")
formats = pytest.mark.parametrize("form", list(EXPORTERS))


def read_csv(file: Path) -> Found:
    found: Found = {}
    with file.open(newline="", encoding="utf-8") as opened:
        for row in csv.DictReader(opened):
            found.setdefault(row["path"], []).append((row["label"], float(row["confidence"])))
    return found


def read_jsonl(file: Path) -> Found:
    lines = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    return {line["path"]: [(tag["label"], tag["confidence"]) for tag in line["tags"]] for line in lines}


def read_parquet(file: Path) -> Found:
    found: Found = {}
    for row in pq.read_table(file).to_pylist():
        found.setdefault(row["path"], []).append((row["label"], row["confidence"]))
    return found


def read_coco(file: Path) -> Found:
    plain = json.loads(file.read_text(encoding="utf-8"))
    names = {category["id"]: category["name"] for category in plain["categories"]}
    assert tuple(names.values()) == LABELS
    paths = {image["id"]: image["file_name"] for image in plain["images"]}
    assert len({annotation["id"] for annotation in plain["annotations"]}) == len(plain["annotations"])
    found: Found = {path: [] for path in paths.values()}
    for annotation in plain["annotations"]:
        assert annotation["bbox"][2] * annotation["bbox"][3] == annotation["area"]
        found[paths[annotation["image_id"]]].append((names[annotation["category_id"]], annotation["score"]))
    return found


def read_label_studio(file: Path) -> Found:
    found: Found = {}
    for task in json.loads(file.read_text(encoding="utf-8")):
        (prediction,) = task["predictions"]
        assert prediction["model_version"] == "gbe"
        path = task["data"]["image"].removeprefix("/data/local-files/?d=").replace("%20", " ")
        choices = [choice for result in prediction["result"] for choice in result["value"]["choices"]]
        found[path] = [(label, dict(confidences())[label]) for label in choices]
    return found


def read_fiftyone(file: Path) -> Found:
    plain = json.loads(file.read_text(encoding="utf-8"))["labels"]
    return {
        path.removeprefix("/p/"): [(target["label"], target["confidence"]) for target in targets]
        for path, targets in plain.items()
    }


def confidences() -> Iterator[tuple[str, float]]:
    for picture in PICTURES:
        for tag in picture.tags:
            assert tag.confidence is not None
            yield tag.label, tag.confidence


READERS: dict[str, Callable[[Path], Found]] = {
    "csv": read_csv,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
    "coco": read_coco,
    "label-studio": read_label_studio,
    "fiftyone": read_fiftyone,
}


@formats
def test_tags_come_back(form: str, tmp_path: Path) -> None:
    export(Tagging(iter(PICTURES), LABELS, "gbe"), tmp_path / "deep" / "out", form)
    found = {path: tags for path, tags in READERS[form](tmp_path / "deep" / "out").items() if tags}
    assert found == {one.path: [(tag.label, tag.confidence) for tag in one.tags] for one in PICTURES if one.tags}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["out"]


@formats
def test_nothing_at_all_can_be_written(form: str, tmp_path: Path) -> None:
    export(Tagging([], LABELS, "gbe"), tmp_path / "out", form)
    assert READERS[form](tmp_path / "out") == {}


@formats
def test_a_failure_leaves_what_was_there(form: str, tmp_path: Path) -> None:
    def broken() -> Iterator[TaggedPicture]:
        yield PICTURES[0]
        raise OSError(5, "the disk broke")

    (tmp_path / "out").write_text("earlier")
    with pytest.raises(OSError, match="the disk broke"):
        export(Tagging(broken(), LABELS, "gbe"), tmp_path / "out", form)
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and (tmp_path / "out").read_text() == "earlier"


def test_a_link_stays_and_its_target_is_written(tmp_path: Path) -> None:
    for name, target in (("out", tmp_path / "deep" / "real"), ("again", tmp_path / "out")):
        (tmp_path / name).symlink_to(target)
        export(Tagging(PICTURES, LABELS, "gbe"), tmp_path / name, "csv")
        assert (tmp_path / name).is_symlink() and len(read_csv(tmp_path / "deep" / "real")) == 2
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["real"]


def test_what_cannot_be_a_file_is_named_before_any_work(tmp_path: Path) -> None:
    def never() -> Iterator[TaggedPicture]:
        raise AssertionError
        yield

    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    for name, message in (
        ("folder", "folder is a folder; name a file"),
        ("link", "link is a folder; name a file"),
        ("pipe", "pipe is a device or a pipe"),
        ("file/out", r"out cannot be written \(.*\); name another"),
        ("circle", r"circle cannot be written \(its links lead in a circle\)"),
    ):
        with pytest.raises(ZerotagError, match=message):
            export(Tagging(never(), LABELS, "gbe"), tmp_path / name, "csv")


def test_a_name_that_is_too_long_is_the_one_that_was_given(tmp_path: Path) -> None:
    file = tmp_path / ("a" * 300)
    with pytest.raises(ZerotagError, match=r"/a{300} cannot be written"):
        export(Tagging(PICTURES, LABELS, "gbe"), file, "csv")


SIGNS = ["=1+1", "+1", "-dog", "@home", "＝1", "'=1", "'quoted", "a=b"]


def test_csv_holds_no_formulas_and_gives_back_every_text(tmp_path: Path) -> None:
    tags = [Tag(label, -1.5, False) for label in SIGNS]
    export(Tagging([TaggedPicture("=1.jpg", "/p", 1, 1, tags)], tuple(SIGNS), "gbe"), tmp_path / "out", "csv")
    with (tmp_path / "out").open(newline="", encoding="utf-8") as opened:
        rows = list(csv.DictReader(opened))
    assert all(row[name][0] not in "=+-@＝" for row in rows for name in ("path", "label"))
    assert [of_cell(row["label"]) for row in rows] == SIGNS and {of_cell(row["path"]) for row in rows} == {"=1.jpg"}
    assert rows[0]["score"] == "-1.5"


@pytest.mark.parametrize("form", ["csv", "jsonl", "coco", "label-studio", "fiftyone"])
def test_no_file_of_text_holds_what_a_terminal_would_obey(tmp_path: Path, form: str) -> None:
    label = "sea\x1b[31m\x9b\u202e\u061c\U000e0041é"
    picture = TaggedPicture(f"{label}.jpg", f"/p/{label}", 1, 1, [Tag(label, 0.5, False)])
    export(Tagging([picture], (label,), "gbe"), tmp_path / "out", form)
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert not UNSHOWN.search(text.replace("\n", ""))
    if form == "coco":
        assert json.loads(text)["categories"][0]["name"] == label


def test_lines_of_json_can_be_read_as_a_data_set_and_by_programs_that_split_at_other_signs(tmp_path: Path) -> None:
    labels = [f"sun{sign}set" for sign in "\x0b\x1c\x85\u2028\u2029"]
    for name in ("a\u2028.jpg", "b.jpg"):
        (tmp_path / name).touch()
    tags = [Tag(label, 0.0, False) for label in labels]
    pictures = [TaggedPicture("a\u2028.jpg", "/p", 1, 1, tags), TaggedPicture("b.jpg", "/p", 1, 1, [])]
    export(Tagging(pictures, tuple(labels), "gbe"), tmp_path / "labels.jsonl", "jsonl")
    dataset = read_folder(tmp_path)
    assert dataset.paths == ("a\u2028.jpg", "b.jpg") and dataset.labels_of(0) == set(labels)
    assert len((tmp_path / "labels.jsonl").read_text(encoding="utf-8").splitlines()) == 2


def test_many_rows_are_written_in_parts(tmp_path: Path) -> None:
    many = (TaggedPicture(f"{i}.jpg", f"/p/{i}.jpg", 1, 1, [Tag("sea", 0.0, True, 0.5)] * 3) for i in range(5000))
    export(Tagging(many, LABELS, "gbe"), tmp_path / "out", "parquet")
    assert pq.ParquetFile(tmp_path / "out").num_row_groups == 2
    assert sum(map(len, read_parquet(tmp_path / "out").values())) == 15_000


def test_no_such_format(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean: csv"):
        export(Tagging([], LABELS, "gbe"), tmp_path / "out", "cvs")
