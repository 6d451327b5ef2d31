"""Metrics against naive code, scikit-learn and enumeration."""

from __future__ import annotations

from itertools import permutations
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score

from zerotag import metrics
from zerotag.errors import ZerotagError
from zerotag.metrics import average_precision, expected_average_precision, precision_recall_f1_at_k

Case = tuple[np.ndarray, np.ndarray, np.ndarray]
checked = settings(max_examples=60, deadline=None)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Scores with many equals, positives, known; N images by C labels."""
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 6)))
    scores = draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([-1e4, -1.5, 0.0, 0.1, 2.0, 7.25])))
    positives, known = (draw(hnp.arrays(bool, shape)) for _ in range(2))
    return scores, positives, known


def naive_average_precision(scores: np.ndarray, positives: np.ndarray) -> float:
    """The mean over positives of the precision among all that score at least as high."""
    precisions = [positives[scores >= s].mean() for s, positive in zip(scores, positives, strict=True) if positive]
    return float(np.mean(precisions)) if precisions else np.nan


def naive_counts(case: Case, k: int) -> tuple[int, int]:
    """Hits among the k best known labels of each image, and positives; of equals the first label goes first."""
    hits = number = 0
    for scores, positives, known in zip(*case, strict=True):
        order = sorted((c for c in range(len(scores)) if known[c]), key=lambda c: (-scores[c], c))
        hits += sum(bool(positives[c]) for c in order[:k])
        number += int((positives & known).sum())
    return hits, number


@checked
@given(cases())
def test_average_precision_equals_naive_code_where_labels_are_known(case: Case) -> None:
    scores, positives, known = case
    expected = [naive_average_precision(s[k], p[k]) for s, p, k in zip(scores.T, positives.T, known.T, strict=True)]
    np.testing.assert_allclose(average_precision(scores, positives, known), expected, atol=1e-12, rtol=0)


@checked
@given(hnp.arrays(np.float64, (3, 90), elements=st.sampled_from([-1.5, 0.0, 0.1, 2.0])), st.data())
def test_hits_among_many_labels_equal_naive_code(scores: np.ndarray, data: st.DataObject) -> None:
    positives, known = (data.draw(hnp.arrays(bool, scores.shape)) for _ in range(2))
    k = data.draw(st.integers(1, 12))
    expected, _ = naive_counts((scores, positives, known), k)
    assert metrics.hits_at_k(scores, positives, k, known) == expected


@checked
@given(cases())
def test_average_precision_equals_scikit_learn(case: Case) -> None:
    scores, positives, _ = case
    found = average_precision(scores, positives)
    assert np.isnan(found).tolist() == (~positives.any(0)).tolist()
    for c in np.flatnonzero(positives.any(0)):
        assert abs(found[c] - average_precision_score(positives[:, c], scores[:, c])) < 1e-12


@checked
@given(cases(), st.integers(1, 6))
def test_best_k_equals_naive_code(case: Case, k: int) -> None:
    k = min(k, case[0].shape[1])
    hits, number = naive_counts(case, k)
    precision, recall, f1 = precision_recall_f1_at_k(case[0], case[1], k, case[2])
    assert abs(precision - hits / (len(case[0]) * k)) < 1e-12
    if number:
        assert abs(recall - hits / number) < 1e-12
        harmonic = 2 * precision * recall / (precision + recall) if hits else 0
        assert abs(f1 - harmonic) < 1e-12
    else:
        assert np.isnan(recall)


@checked
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_images_is_of_no_matter(case: Case, random: Random) -> None:
    order = list(range(len(case[0])))
    random.shuffle(order)
    other = tuple(array[order] for array in case)
    np.testing.assert_array_equal(average_precision(*case), average_precision(*other))
    k = case[0].shape[1]
    assert str(precision_recall_f1_at_k(case[0], case[1], k, case[2])) == str(
        precision_recall_f1_at_k(other[0], other[1], k, other[2])
    )


@pytest.mark.parametrize("entries", [1, 7, 64])
def test_blocks_change_nothing(entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    scores = random.normal(size=(40, 9)).astype(np.float32)
    positives, known = random.random((2, 40, 9)) < 0.3
    whole = average_precision(scores, positives, known), precision_recall_f1_at_k(scores, positives, 4, known)
    monkeypatch.setattr(metrics, "ENTRIES_AT_ONCE", entries)
    np.testing.assert_array_equal(average_precision(scores, positives, known), whole[0])
    assert precision_recall_f1_at_k(scores, positives, 4, known) == whole[1]


@pytest.mark.parametrize(("number", "positives"), [(1, 1), (4, 1), (5, 3), (6, 2), (6, 6)])
def test_expected_average_precision_is_the_mean_over_all_orders(number: int, positives: int) -> None:
    hit = np.arange(number) < positives
    every = [naive_average_precision(np.array(order, float), hit) for order in permutations(range(number))]
    found = expected_average_precision(np.array([positives]), np.array([number]))
    assert abs(found[0] - np.mean(every)) < 1e-12


def test_expected_average_precision_without_positives_is_nothing() -> None:
    assert np.isnan(expected_average_precision(np.array([0, 0]), np.array([5, 0]))).all()
    with pytest.raises(ZerotagError, match="no smaller"):
        expected_average_precision(np.array([3]), np.array([2]))


def test_arguments_that_do_not_fit_are_named() -> None:
    scores, positives = np.zeros((3, 2)), np.ones((3, 2), bool)
    with pytest.raises(ZerotagError, match=r"positives are \(2, 3\)"):
        average_precision(scores, positives.T)
    with pytest.raises(ZerotagError, match=r"known are \(1, 2\)"):
        average_precision(scores, positives, positives[:1])
    with pytest.raises(ZerotagError, match="1 scores are no finite numbers, the first ones in column 1"):
        average_precision(np.array([[0, 1], [0, np.nan], [0, 1]]), positives)
    with pytest.raises(ZerotagError, match="no finite numbers"):
        precision_recall_f1_at_k(np.full((3, 2), np.inf), positives, 1)
    with pytest.raises(ZerotagError, match="k must be 1 to 2"):
        precision_recall_f1_at_k(scores, positives, 3)
    with pytest.raises(ZerotagError, match="at least one image"):
        precision_recall_f1_at_k(scores[:0], positives[:0], 1)


def test_no_labels_and_no_images_give_empty_figures() -> None:
    assert average_precision(np.zeros((4, 0)), np.zeros((4, 0), bool)).shape == (0,)
    assert np.isnan(average_precision(np.zeros((0, 3)), np.zeros((0, 3), bool))).tolist() == [True] * 3
