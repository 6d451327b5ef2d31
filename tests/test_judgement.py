from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from zerotag.errors import UnknownNameError, ZerotagError
from zerotag.judgement import Report, evaluate
from zerotag.labels import LabelSet
from zerotag.metrics import precision_recall_f1_at_k

LABELS = LabelSet(("dog", "cat", "sea", "sky", "car"), ("lion", "boat", "bus", "cloud"))


def world(images: int = 60, unknown: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    positive = random.random((images, 9)) < 0.25
    scores = random.normal(size=(images, 9)) + positive
    annotations = np.where(positive, 1, -1).astype(np.int8)
    annotations[random.random((images, 9)) < unknown] = 0
    return scores, annotations


def report(setting: str, *, unknown: float = 0.2) -> tuple[Report, np.ndarray, np.ndarray]:
    scores, annotations = world(unknown=unknown)
    columns = slice(5, 9) if setting == "zsl" else slice(0, 9)
    return evaluate(scores, annotations, LABELS, setting=setting), scores[:, columns], annotations[:, columns]


@pytest.mark.parametrize("setting", ["zsl", "gzsl"])
def test_the_right_labels_are_ranked_over_the_images_where_they_are_known(setting: str) -> None:
    found, scores, annotations = report(setting)
    expected = [
        average_precision_score(annotations[known, c] == 1, scores[known, c])
        for c in range(scores.shape[1])
        for known in [annotations[:, c] != 0]
    ]
    assert found.num_labels == len(expected)
    np.testing.assert_allclose([row.average_precision for row in found.per_label], expected, atol=1e-12)
    assert abs(found.mean_average_precision - np.mean(expected)) < 1e-12
    assert [row.label for row in found.per_label] == list(LABELS.all[-len(expected) :])
    assert [row.seen for row in found.per_label] == [row.label in LABELS.seen for row in found.per_label]


@pytest.mark.parametrize("setting", ["zsl", "gzsl"])
def test_q_is_the_same_for_every_k(setting: str) -> None:
    found, scores, annotations = report(setting)
    assert found.positives_per_image == (annotations == 1).sum() / 60
    for k in (1, 2, 4):
        precision, recall, _ = precision_recall_f1_at_k(scores, annotations == 1, k, annotations != 0)
        assert abs(k * precision / recall - found.positives_per_image) < 1e-12


def test_unknown_annotations_are_neither_hit_nor_miss() -> None:
    scores, annotations = world(unknown=0)
    annotations[0, 6] = 0
    before = evaluate(scores, annotations, LABELS, setting="zsl")
    scores[0, 6] = 1e3
    assert evaluate(scores, annotations, LABELS, setting="zsl") == before


def test_chance_is_what_random_scores_get() -> None:
    found, scores, annotations = report("gzsl")
    random = np.random.default_rng(1)
    drawn = [evaluate(random.random(scores.shape), annotations, LABELS, setting="gzsl") for _ in range(400)]
    maps = [one.mean_average_precision for one in drawn]
    assert abs(np.mean(maps) - found.chance.mean_average_precision) < 4 * np.std(maps) / 20
    for k in (3, 5):
        for index in range(3):
            figures = [one.at_k[k][index] for one in drawn]
            assert abs(np.mean(figures) - found.chance.at_k[k][index]) < 4 * np.std(figures) / 20


def test_labels_that_no_image_has_are_counted_and_left_out_of_the_mean() -> None:
    scores, annotations = world()
    annotations[:, 7] = -1
    found = evaluate(scores, annotations, LABELS, setting="zsl")
    assert (found.num_labels, found.labels_without_positives) == (4, 1)
    assert found.per_label[2].average_precision is None
    others = [row.average_precision for row in found.per_label if row.average_precision is not None]
    assert abs(found.mean_average_precision - np.mean(others)) < 1e-12


def test_a_report_can_be_written_as_json() -> None:
    found, *_ = report("zsl")
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["protocol"] == "paper" and plain["setting"] == "zsl"
    assert plain["at_k"]["3"]["precision"] == found.at_k[3].precision
    assert plain["chance"]["at_k"]["3"]["f1"] == found.chance.at_k[3].f1


def test_more_best_labels_than_are_ranked_are_left_out() -> None:
    assert list(report("zsl")[0].at_k) == list(report("zsl")[0].chance.at_k) == [3]
    assert list(report("gzsl")[0].at_k) == [3, 5]


def test_what_does_not_fit_is_named() -> None:
    scores, annotations = world()
    with pytest.raises(UnknownNameError, match="no setting called 'zls'; did you mean: zsl"):
        evaluate(scores, annotations, LABELS, setting="zls")
    with pytest.raises(ZerotagError, match="use 'multilabel'"):
        evaluate(scores[:, :5], annotations[:, :5], LabelSet(LABELS.seen), setting="zsl")
    with pytest.raises(ZerotagError, match="9 labels need as many columns"):
        evaluate(scores[:, 1:], annotations, LABELS, setting="zsl")
    with pytest.raises(ZerotagError, match="but some are -2, 2"):
        evaluate(scores, annotations * np.int8(2), LABELS, setting="zsl")
    with pytest.raises(ZerotagError, match="none of the 60 images has one of the 4 labels"):
        evaluate(scores, -np.abs(annotations), LABELS, setting="zsl")
