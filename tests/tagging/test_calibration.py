"""Confidences: calibrated where scores allow it, independent of other labels, kept with the weights they are for."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerotag.errors import ZerotagError
from zerotag.tagging.calibrate import Examples, calibrate, fit, measured
from zerotag.tagging.calibration import Spread, expected_calibration_error, read_calibration
from zerotag.tagging.catalogue import Catalogue, catalogue_of
from zerotag.tagging.folder import FolderTags, Rule
from zerotag.tagging.library import update
from zerotag.tagging.plan import plan
from zerotag.tagging.tagger import Tagger
from zerotag.tagging.words import Word, WordList

LABELS, TRAINED = 40, 25


@pytest.fixture(scope="module")
def world() -> Examples:
    """Scores of labels of different scale and frequency, made from probabilities that only this world knows."""
    random = np.random.default_rng(0)
    logit = random.normal(-3, 2, (3000, LABELS)) + random.normal(0, 0.5, LABELS)
    positives = random.random(logit.shape) < 1 / (1 + np.exp(-logit))
    scores = (logit * random.uniform(0.5, 2, LABELS) + random.normal(0, 5, LABELS)).astype(np.float32)
    names = tuple(f"label{c}" for c in range(LABELS))
    return Examples(scores, positives, np.ones_like(positives), names, np.arange(LABELS) < TRAINED)


def test_confidences_hold_on_pictures_and_labels_that_were_not_fitted(world: Examples) -> None:
    trust = measured(world)
    assert trust["trained"].expected_calibration_error < 0.01
    assert trust["untrained"].expected_calibration_error < 0.03
    for one in trust.values():
        assert 0.75 < one.precision < 0.85 and one.chosen > 0.01
    assert (trust["trained"].num_labels, trust["untrained"].num_labels) == (TRAINED, LABELS - TRAINED)


def test_unknown_pairs_are_left_out(world: Examples) -> None:
    known = np.random.default_rng(1).random(world.known.shape) < 0.5
    hidden = Examples(world.scores, world.positives & known, known, world.names, world.is_trained)
    assert measured(hidden)["trained"].expected_calibration_error < 0.02


def test_a_label_has_the_same_confidence_whatever_stands_beside_it(world: Examples) -> None:
    calibration = fit(world, np.ones(LABELS, bool))
    together = calibration.confidences(world.scores, world.names, Spread(LABELS).add(world.scores))
    some = [3, 30, 7]
    spread = Spread(3).add(world.scores[:, some])
    alone = calibration.confidences(world.scores[:, some], [world.names[c] for c in some], spread)
    np.testing.assert_allclose(alone, together[:, some], atol=1e-6)
    assert ((together >= 0) & (together <= 1)).all()


@given(st.lists(st.integers(1, 30), min_size=1, max_size=6))
def test_the_spread_of_blocks_is_that_of_the_whole(sizes: list[int]) -> None:
    scores = np.random.default_rng(sum(sizes)).normal(3, 2, (sum(sizes), 4)).astype(np.float32)
    spread = Spread(4)
    for block in np.split(scores, np.cumsum(sizes)[:-1]):
        spread.add(block)
    mean, deviation = spread.moments
    np.testing.assert_allclose(mean, scores.mean(0), atol=1e-4)
    np.testing.assert_allclose(deviation, np.maximum(scores.std(0), 1e-6), atol=1e-3)


def test_calibration_error_of_cases_worked_by_hand() -> None:
    confidences = np.array([0.9, 0.9, 0.9, 0.9, 0.1, 0.1], np.float32)
    right = np.array([1, 1, 1, 0, 0, 0], bool)
    assert expected_calibration_error(confidences, right) == pytest.approx((4 * 0.15 + 2 * 0.1) / 6)
    assert expected_calibration_error(np.ones(3), np.ones(3, bool)) == 0


def test_a_calibration_is_read_as_it_was_written(toy_run: Path, squares: Path) -> None:
    calibration, trust = calibrate(toy_run, str(squares))
    tagger = Tagger.load(toy_run)
    assert tagger.calibration is not None and set(trust) <= {"trained", "untrained"}
    for name in ("own", "trained", "untrained"):
        np.testing.assert_array_equal(getattr(tagger.calibration, name), getattr(calibration, name))
    assert tagger.calibration.labels == calibration.labels
    assert read_calibration(toy_run, "other weights") is None


def test_data_that_say_too_little(toy_run: Path, tmp_path: Path, squares: Path) -> None:
    lines = (squares / "labels.jsonl").read_text().splitlines()[:6]
    for number in range(6):
        (tmp_path / f"{number:02}.png").write_bytes((squares / f"{number:02}.png").read_bytes())
    (tmp_path / "labels.jsonl").write_text("\n".join(lines))
    with pytest.raises(ZerotagError, match="at least 10 and 2 are needed"):
        calibrate(toy_run, str(tmp_path))


@pytest.fixture(scope="module")
def catalogued(toy_run: Path, squares: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Tagger]:
    tagger, place = Tagger.load(toy_run), tmp_path_factory.mktemp("c") / "squares.zerotag"
    with Catalogue(place, squares) as catalogue:
        update(catalogue, tagger, plan(squares, place, tagger))
    return place, tagger


def test_thresholds_choose(catalogued: tuple[Path, Tagger], squares: Path) -> None:
    place, tagger = catalogued
    words = WordList((Word(name="red", threshold=0.0), Word(name="blue", threshold=1.0), Word(name="green")))
    with Catalogue(place, squares) as catalogue:
        tags = dict(FolderTags(catalogue, tagger, tagger.vocabulary(words), Rule(min_confidence=0.3)))
    given = [tag for of in tags.values() for tag in of]
    assert len(tags) == 48 and sum(tag.label == "red" for tag in given) == 48
    assert not any(tag.label == "blue" for tag in given)
    assert all(tag.confidence is not None and tag.confidence >= 0.3 for tag in given if tag.label == "green")


def test_in_a_folder_of_one_picture_it_is_as_sure_as_without_a_folder(
    catalogued: tuple[Path, Tagger], squares: Path, tmp_path: Path
) -> None:
    tagger, folder = catalogued[1], tmp_path / "one"
    folder.mkdir()
    shutil.copy(squares / "40.png", folder)
    vocabulary, place = tagger.vocabulary(), catalogue_of(folder)
    with Catalogue(place, folder) as catalogue:
        update(catalogue, tagger, plan(folder, place, tagger))
        ((_, tags),) = FolderTags(catalogue, tagger, vocabulary, Rule(top_k=99))
    alone = tagger.confidences(tagger.scores(tagger.embed([squares / "40.png"]), vocabulary), vocabulary)
    assert alone is not None and np.ptp(alone) > 0.1
    found = {tag.label: tag.confidence for tag in tags}
    np.testing.assert_allclose([found[name] for name in vocabulary.names], alone[0], atol=0.1)


def test_a_wished_precision_is_the_mean_confidence_of_what_is_given(
    catalogued: tuple[Path, Tagger], squares: Path
) -> None:
    place, tagger = catalogued
    with Catalogue(place, squares) as catalogue:
        for wished in (0.3, 0.5):
            tags = dict(FolderTags(catalogue, tagger, tagger.vocabulary(), Rule(precision=wished)))
            confidences = [tag.confidence for of in tags.values() for tag in of]
            assert not confidences or np.mean(confidences) > wished - 0.02


def test_without_a_calibration_thresholds_are_refused(toy_run: Path) -> None:
    tagger = Tagger.load(toy_run)
    tagger.calibration = None
    with pytest.raises(ZerotagError, match="zerotag calibrate RUN DATA"):
        Rule(min_confidence=0.5).check(tagger, tagger.vocabulary(["red"]))


def test_catalogue_of_a_folder_lies_beside_it(tmp_path: Path) -> None:
    assert catalogue_of(tmp_path) == tmp_path.parent / f"{tmp_path.name}.zerotag"
