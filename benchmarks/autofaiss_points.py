"""How well and how fast a library is searched, one query at a time; needs nothing but numpy, so that autofaiss's own
environment can ask it the same way."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

K = 200
_ROUNDS = 3

Search = Callable[[Any], Any]
"""A unit vector, float32 [d], to the rows of the K nearest."""


@dataclass(frozen=True)
class Point:
    """The share of the true nearest that was found, and milliseconds a query; `setting` is the parameter of the search."""

    setting: str
    recall: float
    p50: float
    p99: float


def timed(search: Search, queries: Any, truth: Any, setting: str = "", work: Search | None = None) -> Point:
    """Of three rounds the one that was disturbed least, each percentile by itself.

    `work` is timed in place of `search`, where it answers with something else than rows.
    """
    work = work or search
    rounds = []
    for _ in range(_ROUNDS):
        times = []
        for query in queries:
            start = time.perf_counter()
            work(query)
            times.append(time.perf_counter() - start)
        rounds.append(np.percentile(times, (50, 99)) * 1e3)
    p50, p99 = np.min(rounds, axis=0).tolist()
    return Point(setting, recall(search, queries, truth), p50, p99)


def recall(search: Search, queries: Any, truth: Any) -> float:
    """`truth`: the rows of the K nearest of each query."""
    found = [
        len(np.intersect1d(search(query), nearest)) / len(nearest)
        for query, nearest in zip(queries, truth, strict=True)
    ]
    return float(np.mean(found))


def cheapest(values: Sequence[int], reached: Callable[[int], float], target: float) -> int:
    """The first of the rising values whose recall meets the target to four decimals, or the last."""
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(values[middle]) >= target - 0.00005 else (middle + 1, high)
    return values[low]


def rising(first: int, last: int) -> list[int]:
    """From the first to the last, each about a tenth more than the one before."""
    found = [first]
    while found[-1] < last:
        found.append(min(last, max(found[-1] + 1, round(found[-1] * 1.1))))
    return found
