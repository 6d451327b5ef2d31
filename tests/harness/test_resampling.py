"""Mean average precision on resamples, and the intervals made from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerotag.harness.comparison import mean_interval, paired_lead
from zerotag.harness.resampling import draw_images, resampled_map
from zerotag.metrics import average_precision


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_a_resample_counts_as_the_pictures_written_out(seed: int, some_unknown: bool) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(0, 6, (20, 5)).astype(np.float32)
    positives = random.random((20, 5)) < 0.3
    known = random.random((20, 5)) < 0.8 if some_unknown else np.ones((20, 5), bool)
    draws = draw_images(20, 4, seed=3)
    found = resampled_map(scores, positives, known, draws)
    for row, value in zip(draws, found, strict=True):
        pictures = np.repeat(np.arange(20), row)
        precisions = average_precision(scores[pictures], (positives & known)[pictures], known[pictures])
        expected = np.nan if np.isnan(precisions).all() else np.nanmean(precisions)
        assert value == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_every_method_of_a_seed_gets_the_same_draws_and_another_seed_others() -> None:
    draws = draw_images(50, 10, seed=0)
    assert (draws == draw_images(50, 10, seed=0)).all() and (draws.sum(1) == 50).all()
    assert (draws != draw_images(50, 10, seed=1)).any()


def test_the_interval_of_a_mean_is_students() -> None:
    interval = mean_interval([0.1, 0.2, 0.3])
    # t(0.975, 2) = 4.302653, s = 0.1
    assert interval.mean == pytest.approx(0.2) and interval.half == pytest.approx(4.302653 * 0.1 / 3**0.5)
    assert np.isnan(mean_interval([0.4]).low)


def test_a_lead_is_paired_and_knows_when_it_may_be_chance() -> None:
    random = np.random.default_rng(0)
    base = random.normal(0.2, 0.05, 5)
    resamples = base[:, None] + random.normal(0, 0.02, (5, 200))
    certain = paired_lead(base + 0.01, base, resamples + 0.01, resamples)
    assert certain == pytest.approx((0.01, 0.01, 0.01))
    noise = random.normal(0, 0.02, (5, 200))
    doubtful = paired_lead(base, base, resamples + noise, resamples)
    assert doubtful.low < 0 < doubtful.high
