"""What comes next is read by other threads while the first one works."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

AHEAD = 2

Item = TypeVar("Item")
Content = TypeVar("Content")


def prefetched(
    read: Callable[[Item], Content], items: Iterable[Item], threads: int = 1
) -> Iterator[tuple[Item, Content]]:
    """Each item with its content, in their order, read up to two ahead of the one in use."""
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[tuple[Item, Future[Content]]] = deque()
        for item in items:
            ahead.append((item, pool.submit(read, item)))
            if len(ahead) > AHEAD:
                first, reading = ahead.popleft()
                yield first, reading.result()
        while ahead:
            first, reading = ahead.popleft()
            yield first, reading.result()
