"""Compute independent tasks, in this process or in workers of the Ray cluster that the settings name.

A task gets all its random numbers or its seed as an argument. So the results do not depend on the number of workers.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from thumblab_core.settings import Settings
from thumblab_pipelines.ray_cluster.cluster import cluster_of

B = TypeVar("B")
R = TypeVar("R")


class Tasks(Protocol):
    """The interface of everything that can compute independent tasks, such as a Ray cluster or this process."""

    def map(self, function: Callable[[B], R], items: Sequence[B]) -> list[R]:
        """Return `function(item)` for each item, in order. The function and the items must be picklable."""
        ...


class InThisProcess:
    """Computes one task after the other, in this process."""

    def map(self, function: Callable[[B], R], items: Sequence[B]) -> list[R]:
        return [function(item) for item in items]


IN_THIS_PROCESS = InThisProcess()


def tasks_of(settings: Settings) -> Tasks:
    """Return the Ray cluster that the settings name, or this process if the settings name no cluster. See `cluster_of`."""
    return cluster_of(settings) or IN_THIS_PROCESS
