"""COCO's JSON as programs write it: where files and pictures lie, what they leave out, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from zerotag.datasets import layout_of, load_dataset
from zerotag.datasets.check import check
from zerotag.datasets.coco_files import split_of
from zerotag.datasets.pictures import PictureDataset, split_named
from zerotag.errors import ZerotagError
from zerotag.tagging.export import TaggedPicture, Tagging, export
from zerotag.tagging.tagger import Tag

NAMES = ("dog", "sea", "sun")


def coco(pictures: dict[str, list[str]], names: tuple[str, ...] = NAMES, first: int = 1, **more: Any) -> dict[str, Any]:
    """COCO's JSON of pictures with their labels, each label with a box."""
    number = {name: index for index, name in enumerate(names, start=first)}
    images = [
        {"id": index, "file_name": name, "width": 40, "height": 20} for index, name in enumerate(pictures, start=first)
    ]
    annotations = [
        {"id": 0, "image_id": index, "category_id": number[label], "bbox": [10, 5, 20, 10], "iscrowd": 0}
        for index, labels in enumerate(pictures.values(), start=first)
        for label in labels
    ]
    categories = [{"id": index, "name": name, "supercategory": ""} for name, index in number.items()]
    return {"images": images, "annotations": annotations, "categories": categories} | more


def write(root: Path, files: dict[str, Any], pictures: list[str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    for name in pictures:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def found(dataset: PictureDataset) -> dict[str, tuple[str, set[str]]]:
    return {path: (dataset.splits[i], set(dataset.labels_of(i))) for i, path in enumerate(dataset.paths)}


A, B = {"a.jpg": ["dog", "sun"]}, {"b.jpg": ["sea"]}


@pytest.mark.parametrize(
    ("files", "pictures"),
    [
        pytest.param(
            {"annotations/instances_Train.json": coco(A), "annotations/instances_Validation.json": coco(B)},
            ["images/Train/a.jpg", "images/Validation/b.jpg"],
            id="CVAT, subsets of a project",
        ),
        pytest.param(
            {"annotations/instances_train.json": coco(A), "annotations/instances_test.json": coco(B)},
            ["images/a.jpg", "images/b.jpg"],
            id="Datumaro, images flat",
        ),
        pytest.param(
            {"annotations/labels_train.json": coco(A), "annotations/labels_val.json": coco(B)},
            ["images/train/a.jpg", "images/val/b.jpg"],
            id="Datumaro, labels of whole pictures",
        ),
        pytest.param(
            {
                "annotations/instances_train2017.json": coco({"train2017/a.jpg": ["dog", "sun"]}),
                "annotations/instances_val2017.json": coco({"val2017/b.jpg": ["sea"]}),
            },
            ["train2017/a.jpg", "val2017/b.jpg"],
            id="file names that begin with the folder",
        ),
        pytest.param(
            {
                "train/_annotations.coco.json": coco(A, first=0, info={"contributor": ""}),
                "valid/_annotations.coco.json": coco(B, first=0),
            },
            ["train/a.jpg", "valid/b.jpg"],
            id="Roboflow",
        ),
        pytest.param(
            {"train/labels.json": coco(A, first=0), "validation/labels.json": coco(B, first=0)},
            ["train/data/a.jpg", "validation/data/b.jpg"],
            id="FiftyOne, a folder a split",
        ),
        pytest.param(
            {"train.json": coco(A), "test.json": coco(B)}, ["train/a.jpg", "test/b.jpg"], id="files beside the folders"
        ),
    ],
)
def test_files_and_pictures_are_found_where_programs_put_them(
    files: dict[str, Any], pictures: list[str], tmp_path: Path
) -> None:
    dataset = load_dataset(str(write(tmp_path, files, pictures)))
    assert found(dataset) == {pictures[0]: ("train", {"dog", "sun"}), pictures[1]: ("test", {"sea"})}
    assert dataset.labels == NAMES and not dataset.left_out
    assert dataset.objects is not None and dataset.objects[1][0].box == (0.25, 0.25, 0.75, 0.75)


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("annotations/instances_default.json", "images/default"),  # CVAT
        ("annotations/instances_default.json", "images"),
        ("annotations/instances.json", "images"),
        ("result.json", "images"),  # Label Studio
        ("labels.json", "data"),  # FiftyOne
        ("holiday.json", "."),
    ],
)
def test_without_a_split_one_picture_in_five_is_for_testing(file: str, folder: str, tmp_path: Path) -> None:
    pictures = {f"{i}.jpg": ["dog"] for i in range(200)}
    root = write(tmp_path, {file: coco(pictures)}, [f"{folder}/{name}" for name in pictures])
    dataset = load_dataset(str(root))
    assert len(dataset.paths) == 200 and 20 < len(dataset.rows("test")) < 60
    assert any("no split in the name" in line for line in check(str(root)).doubts)


def test_names_of_label_studio_on_windows_and_in_another_unicode_form(tmp_path: Path) -> None:
    pictures = {"images\\1.jpg": ["dog"], "images\\cafe\u0301.jpg": ["sea"]}
    root = write(tmp_path, {"result.json": coco(pictures, first=0)}, ["images/1.jpg", "images/caf\u00e9.jpg"])
    assert set(load_dataset(str(root)).paths) == {"images/1.jpg", "images/caf\u00e9.jpg"}


def test_a_table_of_labels_goes_before_json_that_lies_beside_it(tmp_path: Path) -> None:
    write(tmp_path, {"holiday.json": coco(A), "labels.csv": "path,labels\nb.jpg,sea\n"}, ["a.jpg", "b.jpg"])
    assert layout_of(tmp_path) == "folder" and load_dataset(str(tmp_path)).paths == ("b.jpg",)


@pytest.mark.parametrize("box", ["none", None, [], [0, 0, 0, 0]])
def test_labels_count_without_boxes(box: Any, tmp_path: Path) -> None:
    content = coco(A)
    for annotation in content["annotations"]:
        annotation["bbox"] = box
        if box == "none":
            del annotation["bbox"]
    dataset = load_dataset(str(write(tmp_path, {"result.json": content}, ["a.jpg"])))
    assert dataset.labels_of(0) == {"dog", "sun"} and dataset.objects is None


@pytest.mark.parametrize("side", ["none", None, 0])
def test_a_picture_of_unknown_size_has_labels_and_no_boxes(side: Any, tmp_path: Path) -> None:
    content = coco(A | B)
    content["images"][0]["width"] = side
    if side == "none":
        del content["images"][0]["width"]
    content["annotations"][-1] |= {"iscrowd": 1, "segmentation": {"counts": "abc", "size": [20, 40]}, "attributes": {}}
    dataset = load_dataset(str(write(tmp_path, {"result.json": content}, ["a.jpg", "b.jpg"])))
    assert dataset.objects is not None and [len(things) for things in dataset.objects] == [0, 1]
    assert dataset.labels_of(0) == {"dog", "sun"}


def test_numbers_may_be_texts_and_a_byte_order_mark_may_come_first(tmp_path: Path) -> None:
    content = coco(A)
    content["categories"] = [of | {"id": str(of["id"])} for of in content["categories"]]
    content["images"][0]["id"] = "1"
    root = write(tmp_path, {"result.json": "\ufeff" + json.dumps(content)}, ["a.jpg"])
    assert load_dataset(str(root)).labels_of(0) == {"dog", "sun"}


def test_categories_of_one_name_are_one_label(tmp_path: Path) -> None:
    content = coco(A, ("dog", "sun"))
    content["categories"] += [{"id": 7, "name": "dog "}]
    content["annotations"][0]["category_id"] = 7
    root = write(tmp_path, {"result.json": content}, ["a.jpg"])
    assert load_dataset(str(root)).labels == ("dog", "sun") and load_dataset(str(root)).labels_of(0) == {"dog", "sun"}
    assert any("'dog' as several categories" in line for line in check(str(root)).doubts)


def test_a_picture_that_is_listed_twice_has_the_labels_of_both(tmp_path: Path) -> None:
    content = coco({"a.jpg": ["dog"], "./a.jpg": ["sun"]})
    root = write(tmp_path, {"result.json": content}, ["a.jpg"])
    assert [labels for _, labels in found(load_dataset(str(root))).values()] == [{"dog", "sun"}]
    assert any("1 pictures again" in line for line in check(str(root)).doubts)


def test_files_of_the_same_pictures_are_put_together(tmp_path: Path) -> None:
    files = {"annotations/instances_x.json": coco(A), "annotations/labels_x.json": coco({"a.jpg": ["sea"]})}
    assert load_dataset(str(write(tmp_path, files, ["images/a.jpg"]))).labels_of(0) == set(NAMES)


def test_categories_are_matched_by_name_and_unknown_where_a_file_does_not_list_them(tmp_path: Path) -> None:
    files = {
        "train/_annotations.coco.json": coco(A, ("sun", "dog", "sea"), first=0),
        "test/_annotations.coco.json": coco(B, ("dog", "sea"), first=0),
    }
    dataset = load_dataset(str(write(tmp_path, files, ["train/a.jpg", "test/b.jpg"])))
    assert dataset.labels == ("sun", "dog", "sea")
    assert dataset.annotations[:].tolist() == [[1, 1, -1], [0, -1, 1]]


def test_a_category_that_only_groups_others_is_no_label(tmp_path: Path) -> None:
    content = coco(A, first=1)
    content["categories"] = [
        {"id": 0, "name": "things", "supercategory": "none"},
        *({**of, "supercategory": "things"} for of in content["categories"]),
    ]
    root = write(tmp_path, {"train/_annotations.coco.json": content}, ["train/a.jpg"])
    assert load_dataset(str(root)).labels == NAMES
    assert any("'things' only group others" in line for line in check(str(root)).doubts)
    content["annotations"][0]["category_id"] = 0
    write(root, {"train/_annotations.coco.json": content}, [])
    assert load_dataset(str(root)).labels == ("things", *NAMES)


def test_an_annotation_without_a_label_is_reported(tmp_path: Path) -> None:
    content = coco(A)
    content["annotations"][0]["category_id"] = 0
    root = write(tmp_path, {"result.json": content}, ["a.jpg"])
    assert load_dataset(str(root)).labels_of(0) == {"sun"}
    assert any("1 annotations name no category" in line for line in check(str(root)).doubts)


def test_a_file_without_annotations_has_pictures_without_labels(tmp_path: Path) -> None:
    content = {key: value for key, value in coco({"a.jpg": []}).items() if key != "annotations"}
    assert load_dataset(str(write(tmp_path, {"labels.json": content}, ["data/a.jpg"]))).labels_of(0) == set()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"result.json": coco({"../a.jpg": ["dog"]})}, r"'\.\./a\.jpg' leads out of"),
        ({"result.json": coco({"..\\..\\media\\a.jpg": ["dog"]})}, "leads out of"),
        ({"result.json": coco({"/etc/a.jpg": ["dog"]})}, r"'/etc/a\.jpg' leads out of"),
        ({"result.json": coco({"C:\\pictures\\a.jpg": ["dog"]})}, "leads out of"),
        ({"annotations/instances_default.json": coco({"b.jpg": []})}, r"1 pictures listed, such as .*/default/b\.jpg"),
        ({"train/_annotations.coco.json": coco({"b.jpg": []})}, r"such as .*/train/images/b\.jpg"),
        ({"train.json": coco(A), "test.json": coco(A)}, r"'a\.jpg' is in both .*train\.json and .*test\.json"),
        (
            {"train.json": coco(A), "test.json": coco(B, ("cat", "sea"))},
            "other categories than train.json: 'cat' where",
        ),
        ({"result.json": coco(A, ("dog", " ", "sun"))}, r"'categories\.1\.name': it is blank"),
        ({"result.json": coco(A) | {"images": coco(A)["images"] + [{"id": 1, "file_name": "b"}]}}, "gives number 1 to"),
        ({"annotations/instances_x.json": "[" * 100_000}, "invalid json"),
        ({"annotations/instances_x.json": '{"images": [], "categories": [{"id": 1, "name": "dog"}]}'}, "none of the 0"),
    ],
)
def test_what_cannot_be_read_as_it_was_meant_is_refused(files: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ZerotagError, match=message):
        load_dataset(str(write(tmp_path, files, ["a.jpg"])))


def test_a_path_in_the_folder_may_be_full_or_go_up_and_down(tmp_path: Path) -> None:
    content = coco({"../images/a.jpg": ["dog"], str(tmp_path.resolve() / "images" / "b.jpg"): ["sea"]})
    root = write(tmp_path, {"annotations/instances_train.json": content}, ["images/a.jpg", "images/b.jpg"])
    assert load_dataset(str(root)).paths == ("images/a.jpg", "images/b.jpg")


def test_what_zerotag_exports_is_read(tmp_path: Path) -> None:
    pictures = [TaggedPicture("a b.jpg", "", 4, 3, [Tag("dog", 1.0, True)]), TaggedPicture("é.jpg", "", 4, 3, [])]
    export(Tagging(pictures, ("dog", "=sun"), "gbe"), tmp_path / "tags.json", "coco")
    dataset = load_dataset(str(write(tmp_path, {}, ["a b.jpg", "é.jpg"])))
    assert dataset.labels == ("dog", "=sun")
    assert dataset.labels_of(0) == {"dog"} and dataset.labels_of(1) == set()


def test_a_number_of_two_categories_and_a_list_that_comes_twice_are_refused(tmp_path: Path) -> None:
    content = coco(A)
    content["categories"].append({"id": 1, "name": "cat"})
    with pytest.raises(ZerotagError, match="gives number 1 to the categories 'dog' and 'cat'"):
        load_dataset(str(write(tmp_path, {"result.json": content}, ["a.jpg"])))
    text = json.dumps(coco(A, info={"images": 1}))
    assert load_dataset(str(write(tmp_path, {"result.json": text}, []))).labels_of(0) == {"dog", "sun"}
    for key in ("annotations", "categories", "images"):
        write(tmp_path, {"result.json": f'{text[:-1]}, "{key}": []}}'}, [])
        with pytest.raises(ZerotagError, match=f"the key '{key}' comes twice"):
            load_dataset(str(tmp_path))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("carnival", None),
        ("latest", None),
        ("untrained", None),
        ("interval_2", None),
        ("train2017", "train"),
        ("Trainval", "train"),
        ("my-trainSet", "train"),
        ("person_val", "test"),
        ("TEST", "test"),
    ],
)
def test_a_split_is_a_whole_word_of_a_name(name: str, split: str | None, tmp_path: Path) -> None:
    assert split_of(tmp_path / "annotations" / f"instances_{name}.json") == split
    if split is None:
        with pytest.raises(ZerotagError, match="neither 'train' nor 'test'"):
            split_named(tmp_path / f"{name}.h5")


def test_splits_that_names_tell_are_reported(tmp_path: Path) -> None:
    root = write(tmp_path, {"train.json": coco(A), "valid.json": coco(B)}, ["a.jpg", "b.jpg"])
    assert "splits are told by names: train.json for training, valid.json for testing" in check(str(root)).doubts


@pytest.mark.parametrize(
    ("file", "picture"),
    [
        ("annotations/person_keypoints_train2017.json", "train2017/a.jpg"),
        ("annotations/person_keypoints_train2017.json", "images/train2017/a.jpg"),
        ("Annotations/Instances_train.JSON", "train/a.jpg"),
        ("Train/_annotations.coco.json", "Train/a.jpg"),
        ("TRAIN/_annotations.coco.json", "TRAIN/images/a.jpg"),
    ],
)
def test_names_may_have_more_words_and_any_case(file: str, picture: str, tmp_path: Path) -> None:
    dataset = load_dataset(str(write(tmp_path, {file: coco(A)}, [picture])))
    assert found(dataset) == {picture: ("train", {"dog", "sun"})}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.json").write_bytes(json.dumps(coco(A)).encode("utf-16"))
    with pytest.raises(ZerotagError, match=r"train\.json is UTF-16 text; save it as UTF-8"):
        load_dataset(str(tmp_path))
    (tmp_path / "train.json").rename(tmp_path / "train.json.gz")
    with pytest.raises(ZerotagError, match=r"neither .* but 'train\.json\.gz'"):
        load_dataset(str(tmp_path))


def test_a_link_to_a_picture_is_the_picture(tmp_path: Path) -> None:
    root = write(tmp_path, {"result.json": coco({"a.jpg": ["dog"], "b.jpg": ["sun"]})}, ["a.jpg"])
    (root / "b.jpg").symlink_to(root / "a.jpg")
    assert [labels for _, labels in found(load_dataset(str(root))).values()] == [{"dog", "sun"}]


def test_boxes_are_cut_off_at_the_edge_and_those_without_area_named(tmp_path: Path) -> None:
    content = coco({"a.jpg": ["dog", "sun", "sea", "dog"]})
    for annotation, box in zip(
        content["annotations"], ([-10, 0, 30, 40], [9, 9, -5, 5], [50, 0, 5, 5], [0, 0, 4, 4]), strict=True
    ):
        annotation["bbox"] = box
    dataset = load_dataset(str(write(tmp_path, {"result.json": content}, ["a.jpg"])))
    assert dataset.objects is not None and [thing.box for thing in dataset.objects[0]] == [
        (0, 0, 0.5, 1),
        (0, 0, 0.1, 0.2),
    ]
    assert dataset.labels_of(0) == set(NAMES)
    assert {note[:28] for note in dataset.notes if "boxes" in note} == {
        "result.json: 2 boxes are inv",
        "result.json: 1 boxes reach b",
    }


TABLE = "path,labels\nb.jpg,sea\n"


@pytest.mark.parametrize(
    ("files", "layout", "unread"),
    [
        ({"annotations/instances_default.json": coco(A), "labels.csv": TABLE}, "coco", "labels.csv"),
        ({"annotations/val.json": coco(A), "labels.csv": TABLE}, "folder", "annotations/val.json"),
        ({"annotations/instances_x.json": coco(A), "annotations/val.json": coco(A)}, "coco", "annotations/val.json"),
        (
            {"annotations/instances_x.json": coco(A), "Valid/_annotations.coco.json": coco(A)},
            "coco",
            "Valid/_annotations.coco.json",
        ),
        ({"labels.csv": TABLE, "vectors.h5": ""}, "folder", "vectors.h5"),
        ({"labels.csv": TABLE, "x.tfrecords": ""}, "folder", "x.tfrecords"),
        ({"labels.csv": TABLE, "ImageList/x.txt": ""}, "folder", "ImageList"),
        ({"labels.csv": TABLE, "metadata.csv": "a,b\n", "x.json": "{"}, "folder", None),
        ({"annotations/instances_x.json": coco(A), "vectors.h5": ""}, "coco", "vectors.h5"),
    ],
)
def test_a_table_of_labels_goes_before_files_that_may_be_anything(
    files: dict[str, Any], layout: str, unread: str | None, tmp_path: Path
) -> None:
    found = check(str(write(tmp_path, files, ["a.jpg", "b.jpg"])))
    notes = [doubt for doubt in found.doubts if doubt.startswith("not read")]
    assert found.layout == layout
    assert notes == (
        [] if unread is None else [f"not read, since the folder is taken for the layout '{layout}': '{unread}'"]
    )
