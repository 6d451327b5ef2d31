"""The layouts of COCO, ML-Decoder and (ML)2P: what is wrong with a file is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_sizes import SIZE
from zerotag.datasets import load_dataset
from zerotag.datasets.check import check
from zerotag.datasets.fake_set import SIDE_PX, draw
from zerotag.errors import ZerotagError


def test_coco_has_boxes_and_draws_its_unseen_labels(fakes: dict[str, Path]) -> None:
    dataset = load_dataset(str(fakes["coco"]))
    drawn = draw(*SIZE.values(), 0)
    rows = [int(Path(path).stem) for path in dataset.paths]
    np.testing.assert_array_equal(dataset.annotations, drawn.annotations[rows])
    assert dataset.unseen == () and dataset.objects is not None
    for row, objects in zip(rows, dataset.objects, strict=True):
        assert {label for thing in objects for label in thing.labels} == dataset.labels_of(rows.index(row))
        for thing, box in zip(objects, drawn.boxes(row), strict=True):
            np.testing.assert_allclose(thing.box, np.array(box) / SIDE_PX)
    assert check(str(fakes["coco"])).layout == "coco"


def edit_json(file: Path, change: Callable[[Any], Any]) -> None:
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_what_is_wrong_with_a_table_of_ml_decoder_is_named(small: Callable[[str], Path]) -> None:
    root = small("ml-decoder")
    table = root / "data.csv"
    whole = table.read_text()
    first = whole.splitlines()[1]
    for content, message in (
        (whole.replace(",train", ",trian", 1), "line 2: path, .labels. and train or val were expected"),
        (f"{whole}{first}\n", "is listed more than once"),
        ("filepath,label,split_name\n", "lists no pictures"),
        (
            "filepath,label,split_name\nnone.jpg,[tag0001],train\n",
            "none of the 1 pictures .* such as .*/images/none.jpg",
        ),
        ("filepath,label,split_name\n../a.jpg,[tag0001],train\n", r"line 2: '\.\./a\.jpg' leads out of the folder"),
        ("filepath,label,split_name\n/etc/a.jpg,[tag0001],train\n", "leads out of the folder"),
        (f"{first}\n", "its first line is a picture, where headings were expected"),
        (f'{whole}"a.jpg,[tag0001],train\n', "cannot be read .* look for a quotation mark"),
    ):
        table.write_text(content)
        with pytest.raises(ZerotagError, match=message):
            load_dataset(str(root))
    table.write_text(whole)
    for labels in ("concept00", ["concept00", 1], ["concept00", " "]):
        edit_json(root / "benchmark_3_v0.json", lambda of, labels=labels: of.update({"other": of["test class"]}))
        edit_json(root / "benchmark_3_v0.json", lambda of, labels=labels: of.update({"test class": labels}))
        with pytest.raises(ZerotagError, match="'test class' is not a list of labels"):
            load_dataset(str(root))
        edit_json(root / "benchmark_3_v0.json", lambda of: of.update({"test class": of.pop("other")}))
    edit_json(root / "benchmark_3_v0.json", lambda of: of["train class"].append(of["test class"][0]))
    with pytest.raises(ZerotagError, match="both seen and unseen: 'concept00'"):
        load_dataset(str(root))
    edit_json(root / "benchmark_3_v0.json", lambda of: of.pop("train class"))
    found = load_dataset(str(root))
    assert set(found.labels) - set(found.unseen) <= {f"tag{i:04}" for i in range(5)}
    (root / "more_data.csv").write_text(whole)
    with pytest.raises(ZerotagError, match="leave the one that is meant"):
        load_dataset(str(root))


def test_what_is_wrong_with_a_json_of_ml2p_is_named(small: Callable[[str], Path]) -> None:
    root = small("ml2p")
    file = root / "nus_wide_train.json"
    expected, whole = load_dataset(str(root)), file.read_text()
    for change, message in (
        (lambda of: of["0"].update(labels_1006=[1, -1]), "has 2 labels, the lists have 8"),
        (lambda of: of["0"]["labels_1006"].__setitem__(0, 7), "'0.labels_1006.0': input should be less than"),
        (lambda of: of["0"].pop("img_id"), "'0.img_id': field required"),
        (lambda of: of.update(again=of["0"]), "is listed more than once"),
        (lambda of: of["0"].update(img_id="../a.jpg"), "leads out of the folder"),
    ):
        edit_json(file, change)
        with pytest.raises(ZerotagError, match=message):
            load_dataset(str(root))
        file.write_text(whole)
    file.write_text(whole[:-20])
    with pytest.raises(ZerotagError, match="it may have been cut off"):
        load_dataset(str(root))
    file.write_text('{"0": {"labels_1006": ' + "[" * 100_000)
    with pytest.raises(ZerotagError, match="nested too deep"):
        load_dataset(str(root))
    for name in ("nus_wide_train.json", "nus_wide_test.json"):
        (root / name).write_text((whole if name == file.name else (root / name).read_text()).replace("-1", "0"))
    np.testing.assert_array_equal(load_dataset(str(root)).annotations, expected.annotations)
    file.rename(root / "nus_wide.json")
    with pytest.raises(ZerotagError, match="neither 'train' nor 'test'"):
        load_dataset(str(root))


def test_what_is_wrong_with_a_json_of_coco_is_named(small: Callable[[str], Path]) -> None:
    root = small("coco")
    file = root / "annotations" / "instances_train2017.json"
    whole = file.read_text()
    for change, message in (
        (lambda of: of["annotations"][0].update(category_id=99), "category 99, which it does not list"),
        (lambda of: of["annotations"][0].update(image_id=99), "1 pictures that it does not list: '99'"),
        (lambda of: of["categories"][0].update(name="other"), "has other categories than instances_train2017"),
        (lambda of: of.pop("images"), "'images': field required"),
    ):
        edit_json(file, change)
        with pytest.raises(ZerotagError, match=message):
            load_dataset(str(root))
        file.write_text(whole)
    next((root / "train2017").iterdir()).unlink()
    assert check(str(root)).left_out == {"not there": 1}
    file.write_text(whole[:-20])
    with pytest.raises(ZerotagError, match="invalid json"):
        load_dataset(str(root))
