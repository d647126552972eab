"""Runs parts of the search side by side, one core each."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

MOST_THREADS = 8
"""Each needs up to 100 MB."""

Part = TypeVar("Part")
Found = TypeVar("Found")


def in_threads(function: Callable[[Part], Found], parts: Iterable[Part]) -> list[Found]:
    """Return what a function makes of each part, in their order.

    Numpy's own threads would wait for each other, and round otherwise on other numbers of cores.
    """
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, parts))
