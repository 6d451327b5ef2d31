"""Open Images v4: a fake set is read as it was drawn, and learned from; what is wrong with a copy is named."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from fake_sizes import SIZE, SMALL
from zerotag.datasets import fake_open_images, load_dataset
from zerotag.datasets.check import check
from zerotag.datasets.fake_set import draw
from zerotag.datasets.open_images import CANDIDATES, CHOSEN, NAMES, SEEN
from zerotag.datasets.sparse import SparseAnnotations
from zerotag.errors import UnknownNameError, ZerotagError
from zerotag.evaluation import evaluate_run
from zerotag.protocols import PROTOCOLS
from zerotag.tagging.tagger import Tagger
from zerotag.training.loop import train
from zerotag.training.settings import Settings

VGG19 = {"name": "vgg19", "size_px": 64, "pretrained": False}
TABLE = "train-annotations-human-imagelabels.csv"


@pytest.fixture(scope="module", params=fake_open_images.LAYOUTS)
def fake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fake") / request.param
    fake_open_images.make(root, request.param, **SIZE)
    return root


@pytest.fixture
def small(tmp_path: Path) -> Path:
    fake_open_images.make(tmp_path / "small", **SMALL)
    return tmp_path / "small"


def layout_at(fake: Path) -> str:
    return fake.name


def test_what_was_drawn_is_read(fake: Path) -> None:
    dataset, drawn = load_dataset(str(fake)), draw(*SIZE.values(), 0)
    assert dataset.labels == drawn.labels.all and dataset.unseen == drawn.labels.unseen
    rows = [int(Path(path).stem, 16) for path in dataset.paths]
    assert sorted(rows) == list(range(160))
    annotations = dataset.annotations[np.arange(160)]
    has_verdicts = np.ones(annotations.shape, bool)
    if dataset.maps is not None:  # the training files have nothing about unseen labels
        has_verdicts[np.ix_(dataset.rows("train"), np.arange(20, 26))] = False
    np.testing.assert_array_equal(annotations == 1, (drawn.annotations[rows] == 1) & has_verdicts)
    test = dataset.rows("test")
    np.testing.assert_array_equal((annotations[test] == -1).sum(1), fake_open_images.NEGATIVES_A_PICTURE)
    found = check(str(fake))
    assert found.layout == {"raw": "open-images"}.get(layout_at(fake), f"open-images-{layout_at(fake)}")
    assert found.doubts == (
        "there are 20 seen labels; in print they are 7,186",
        "there are 6 unseen labels; in print they are 400",
    )


def test_a_trained_model_beats_chance_on_unseen_labels_under_every_protocol_and_tags(
    fake: Path, tmp_path: Path
) -> None:
    settings = {
        "data": str(fake),
        "backbone": {"size_px": 160} if layout_at(fake) == "raw" else VGG19,
        "vectors": {"source": str(fake / "word_vectors.txt")},
        "model": {"name": "fast0tag", "options": {"hidden": [64]}},
        "optimiser": {"epochs": 12, "batch_size": 16, "learning_rate": 3e-3},
        "selection": {"held_out_labels": 0.0, "held_out_pictures": 0.1},
    }
    run = train(Settings.model_validate(settings), tmp_path / "run")
    for protocol in PROTOCOLS:
        report = evaluate_run(run.folder, protocol=protocol).reports["zsl"]
        assert report.mean_average_precision > 1.1 * report.chance.mean_average_precision, protocol
    pictures = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    tags = Tagger.load(run.folder).tag(pictures, run.labels.all[:4], top_k=2)
    assert [len(of) for of in tags] == [2, 2]


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize("form", ["{:016}", "{:016}e01"])
def test_an_identifier_may_look_like_a_number(small: Path, form: str) -> None:
    expected = load_dataset(str(small))
    for table in (small / "2018_04").glob("*imagelabels.csv"):
        head, *rows = table.read_text().strip().split("\n")
        table.write_text("\n".join([head, *(f"{form.format(int(row[:16], 16))}{row[16:]}" for row in rows)]))
    for picture in list(small.rglob("*.jpg")):
        picture.rename(picture.with_name(f"{form.format(int(picture.stem, 16))}.jpg"))
    found = load_dataset(str(small))
    assert [Path(path).stem for path in found.paths] == [form.format(int(Path(p).stem, 16)) for p in expected.paths]
    everything = np.arange(len(found.paths))
    np.testing.assert_array_equal(found.annotations[everything], expected.annotations[everything])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda home: change(home / TABLE, ",1\n", ",0.7\n"), "a confidence of 0.7; labels that people verified"),
        (lambda home: change(home / TABLE, ",1\n", ",yes\n"), "is no table of ImageID"),
        (lambda home: change(home / TABLE, "LabelName", "Label"), "is no table of ImageID"),
        (lambda home: change(home / CHOSEN, "3,", "300,"), "must hold numbers below 9"),
        (lambda home: change(home / CHOSEN, "3,", "0,"), "more than once in top_400_unseen.csv: '/m/00005'"),
        (lambda home: change(home / NAMES, "/m/00001,", "/m/99999,"), "no name for 1 labels: '/m/00001'"),
        (lambda home: change(home / SEEN, "/m/00001", "/m/00000"), "more than once in classes-trainable.txt"),
        (lambda home: (home / NAMES).unlink(), "class-descriptions.csv cannot be read"),
        (lambda home: (home / CANDIDATES).write_bytes(pickle.dumps(Path("x"))), "no pickle of plain data"),
        (
            lambda home: [picture.unlink() for picture in home.parent.rglob("*.jpg")],
            r"holds none of the 12 pictures .*, such as .*/train/[0-9a-f]{16}\.jpg",
        ),
        (
            lambda home: [table.unlink() for table in home.glob("*imagelabels.csv")],
            f"none of the 0 pictures .*, such as .*/2018_04/{TABLE}",
        ),
        (lambda home: (home / TABLE).write_text("ImageID,Source,LabelName,Confidence\n"), "lists no pictures"),
        (lambda home: (home / NAMES).write_text(f"/m/00001,{'x' * 200_000}"), "line 1 cannot be read"),
        (lambda home: (home / NAMES).write_bytes(b"/m/00001,caf\xe9"), "no UTF-8 text"),
    ],
)
def test_what_is_wrong_with_a_copy_is_named(small: Path, harm: Callable[[Path], Any], message: str) -> None:
    harm(small / "2018_04")
    with pytest.raises(ZerotagError, match=message):
        load_dataset(str(small))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda f, name: f.pop(f"{name}-seenlabels"), "seenlabels' is not there beside its features"),
        (lambda f, name: f.pop(f"{name}-unseenlabels"), "-unseenlabels' is not there beside its features"),
        (lambda f, name: replaced(f, f"{name}-seenlabels", np.ones(4)), "has 4 seen labels, not 5"),
        (lambda f, name: replaced(f, f"{name}-seenlabels", np.full(5, 7)), "a label is 7; 1, 0 and -1 were"),
        (lambda f, name: replaced(f, f"{name}-unseenlabels", np.ones(4)), "has 4 candidates for unseen labels"),
        (lambda f, name: replaced(f, f"{name}-features", np.ones(4096)), r"is \(4096,\), not channels by positions"),
        (lambda f, name: f.clear(), "holds no '<ImageID>-features'"),
    ],
)
def test_what_is_wrong_with_a_chunk_is_named(
    tmp_path: Path, harm: Callable[[h5py.File, str], Any], message: str
) -> None:
    root = tmp_path / "maps"
    fake_open_images.make(root, "hdf5", **SMALL)
    with h5py.File(next((root / "test_features").iterdir()), "r+") as opened:
        harm(opened, min(key.split("-")[0] for key in opened))
    with pytest.raises(ZerotagError, match=message):
        load_dataset(str(root))


def replaced(opened: h5py.File, key: str, data: np.ndarray) -> None:
    del opened[key]
    opened[key] = data


def test_an_unknown_layout_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean: hdf5"):
        fake_open_images.make(tmp_path / "new", "hdf", **SMALL)


def test_labels_of_one_name_are_told_apart(small: Path) -> None:
    change(small / "2018_04" / NAMES, "tag0001", "tag0000")
    assert load_dataset(str(small)).labels[:2] == ("tag0000 (/m/00000)", "tag0000 (/m/00001)")


def test_pictures_that_are_not_there_are_left_out(small: Path) -> None:
    before = load_dataset(str(small))
    gone = before.paths[2]
    (small / gone).unlink()
    after = load_dataset(str(small))
    assert after.left_out == {gone: "not there"}
    kept = [i for i, path in enumerate(before.paths) if path != gone]
    assert after.paths == tuple(before.paths[i] for i in kept)
    np.testing.assert_array_equal(after.annotations[np.arange(11)], before.annotations[np.array(kept)])


def test_sparse_annotations_are_asked_as_an_array_is() -> None:
    dense = np.random.default_rng(0).integers(-1, 2, (7, 5)).astype(np.int8)
    sparse = SparseAnnotations(*np.nonzero(dense), dense[np.nonzero(dense)], dense.shape)
    rows, columns = np.array([4, 0, 4]), np.array([3, 1])
    np.testing.assert_array_equal(sparse[rows], dense[rows])
    np.testing.assert_array_equal(sparse[np.ix_(rows, columns)], dense[np.ix_(rows, columns)])
    np.testing.assert_array_equal(sparse[2], dense[2])
    np.testing.assert_array_equal(sparse[1:4], dense[1:4])
    assert len(sparse) == 7 and sparse[rows].dtype == np.int8


@pytest.mark.parametrize("content", [5, None, {"/m/1": 0}, [1, 2], [["/m/1"]], np.zeros((2, 2)), np.array("/m/1")])
def test_candidates_that_are_no_list_of_identifiers(small: Path, content: Any) -> None:
    (small / "2018_04" / CANDIDATES).write_bytes(pickle.dumps(content))
    with pytest.raises(ZerotagError, match="must hold a list of the identifiers"):
        load_dataset(str(small))


@pytest.mark.parametrize("kind", [list, tuple, np.bytes_, object])
def test_candidates_may_be_listed_in_other_ways(small: Path, kind: Any) -> None:
    file = small / "2018_04" / CANDIDATES
    candidates, expected = pickle.loads(file.read_bytes()), load_dataset(str(small)).unseen
    content = kind(candidates.tolist()) if kind in (list, tuple) else candidates.astype(kind)
    file.write_bytes(pickle.dumps(content))
    assert load_dataset(str(small)).unseen == expected


def test_a_number_of_a_candidate_with_thousands_of_digits(small: Path) -> None:
    (small / "2018_04" / CHOSEN).write_text("9" * 5000 + ",1\n")
    with pytest.raises(ZerotagError, match="must hold numbers below"):
        load_dataset(str(small))
