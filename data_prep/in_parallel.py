"""Computes on all cores, in order, with a limited number of items in memory."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import chain, islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

FEW = 2000
"""Items that are computed in this process, because other processes take a second to start."""
AT_ONCE = 64
"""Items that are sent to a process together."""


def in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield ``function(item)`` of each item, in the order of the items.

    Args:
        function: Called on each item. It must not raise; it and its results must be picklable.
        items: The items; they are read a few steps ahead of the results.
    """
    rest = iter(items)
    yield from map(function, islice(rest, FEW))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    further = list(islice(rest, 1))
    if not further:
        return
    # A fork would copy locks that threads of Arrow hold.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(cores, mp_context=context) as pool:
        ahead: deque[Future[list[Result]]] = deque()
        try:
            for chunk in _chunks(chain(further, rest)):
                ahead.append(pool.submit(_all, function, chunk))
                if len(ahead) > 2 * (cores or 1):
                    yield from ahead.popleft().result()
            while ahead:
                yield from ahead.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _chunks(items: Iterator[Item]) -> Iterator[list[Item]]:
    while chunk := list(islice(items, AT_ONCE)):
        yield chunk


def _all(function: Callable[[Item], Result], items: list[Item]) -> list[Result]:
    return [function(item) for item in items]
