"""Contents come in the order of their items, and what goes wrong while one is read is told where it is used."""

from __future__ import annotations

import time

import pytest

from zerotag.prefetch import prefetched


@pytest.mark.parametrize("threads", [1, 2])
def test_contents_keep_the_order_of_their_items(threads: int) -> None:
    def slow_at_first(number: int) -> int:
        time.sleep(0.05 if number == 0 else 0)
        return number**2

    assert list(prefetched(slow_at_first, range(7), threads)) == [(number, number**2) for number in range(7)]


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_comes_with_its_item_and_not_before(threads: int) -> None:
    contents = prefetched(lambda number: 1 // number, [3, 2, 0, 1], threads)
    assert [next(contents), next(contents)] == [(3, 0), (2, 0)]
    with pytest.raises(ZeroDivisionError):
        next(contents)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_read_ahead_is_bounded(threads: int) -> None:
    begun: list[int] = []
    contents = prefetched(begun.append, range(100), threads)
    next(contents)
    assert len(begun) <= 3
