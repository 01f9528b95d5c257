"""Compute many items with one function, in this process or in workers of the Ray cluster that the settings name."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TypeVar

from thumblab_core.settings import Settings
from thumblab_pipelines.ray_cluster.cluster import cluster_of

B = TypeVar("B")
R = TypeVar("R")

HERE = "this process"
"""The place where the work is done if the lab has no cluster."""

_BLOCK = 64
"""Number of items in a block. A worker process that dies loses the few blocks that it has begun."""
_BLOCKS_AT_ONCE = 256
"""Maximum number of blocks that are prepared for the workers at once. This number limits the memory for the input."""


def computed(
    settings: Settings, work: Callable[[Iterable[B]], Iterator[R]], items: Iterable[B], places: Counter[str]
) -> Iterator[R]:
    """Yield the results of `work` for the items, in order.

    Without a cluster, the result is `work(items)`. With a cluster, workers compute `work(block)` for blocks of items.
    `work` must be picklable, and give the same results for each division into blocks. `work` is sent to each worker
    only once, so it may cache a model. `places`: a counter, to which the number of results of each process is added.

    Raises the errors of `cluster_of`, and the `LabError` of a worker.
    """
    cluster = cluster_of(settings)
    if cluster is None:
        for result in work(items):
            places[HERE] += 1
            yield result
        return
    left = iter(items)
    while some := list(islice(left, _BLOCK * _BLOCKS_AT_ONCE)):
        blocks = [some[start : start + _BLOCK] for start in range(0, len(some), _BLOCK)]
        for place, results in cluster.stream(partial(_listed, work), blocks):
            places[place] += len(results)
            yield from results


def place_of(settings: Settings) -> str:
    """Return a text that says where heavy work is done: on the Ray cluster in the settings, or in this process.

    Raises the errors of `cluster_of`.
    """
    return str(cluster_of(settings) or HERE)


def _listed(work: Callable[[Iterable[B]], Iterator[R]], block: Sequence[B]) -> list[R]:
    return list(work(block))
