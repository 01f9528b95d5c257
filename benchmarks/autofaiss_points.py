"""Measure the recall and the time of a search, one query at a time.

This module needs only numpy, so that it can also be imported in the Python environment in which autofaiss is installed.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

K = 200
"""A search returns the K vectors that are most similar to the query."""
_ROUNDS = 3

Search = Callable[[Any], Any]
"""A function that takes a query, which is a unit vector float32 [d]. The function returns the row numbers of the K
vectors nearest to the query.
"""


@dataclass(frozen=True)
class Point:
    """The measured recall and time of a search. `setting` is the parameter of the search, such as `nprobe=8`.

    `p50` and `p99` are the median and the 99th percentile of the milliseconds per query.
    """

    setting: str
    recall: float
    p50: float
    p99: float


def timed(search: Search, queries: Any, truth: Any, setting: str = "", work: Search | None = None) -> Point:
    """Return the recall of a search, and its time per query.

    The queries are timed in three rounds. Each round gives a median and a 99th percentile of the time per query. The
    smallest median and the smallest percentile are returned, because other programs slowed these rounds down the least.
    If the function `work` is given, the time is measured on `work`, whose result is ignored. The recall is always
    measured on `search`.
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
    """Return the mean recall over the queries.

    `truth` contains for each query the row numbers of the K vectors that are truly nearest to it. A search may miss
    some of these vectors. The recall of a query is the share of these vectors that the search finds.
    """
    shares = [
        len(np.intersect1d(search(query), nearest)) / len(nearest)
        for query, nearest in zip(queries, truth, strict=True)
    ]
    return float(np.mean(shares))


def cheapest(values: Sequence[int], recall_at: Callable[[int], float], target: float) -> int:
    """Return the smallest of `values` with which a search reaches the recall `target`.

    `values` are values of a search parameter, in increasing order. If none of them reaches `target`, return the last
    value. `recall_at` is a function that measures the recall with a value. A recall that is at most 0.00005 below
    `target` counts as reaching it.
    """
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if recall_at(values[middle]) >= target - 0.00005 else (middle + 1, high)
    return values[low]


def rising(first: int, last: int) -> list[int]:
    """Return increasing integers from `first` to `last`.

    Each integer is about 10 % larger than the integer before it, and at least 1 larger.
    """
    values = [first]
    while values[-1] < last:
        values.append(min(last, max(values[-1] + 1, round(values[-1] * 1.1))))
    return values
