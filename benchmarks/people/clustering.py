"""Measure how planted faces are clustered into people. Planted faces are random vectors whose person is known.

    python -m benchmarks.people.clustering [--faces 100000] [--people 2000] [--new 1000] [--methods hdbscan ...]

The table has the time and the quality of the clustering, and the time to assign new faces to people. 10 % of the
faces belong to strangers, who are seen once. Both the processor time and the time on the clock are printed. The time on
the clock depends on other work of the machine.
"""

import argparse
import resource
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.people.planted_faces import planted_faces
from thumblab_core.arrays import Rows
from thumblab_pipelines.people.clustering.agreement import agreement
from thumblab_pipelines.people.clustering.assign import assign_faces
from thumblab_pipelines.people.clustering.calibration import calibrate
from thumblab_pipelines.people.clustering.cluster import cluster_faces
from thumblab_pipelines.people.clustering.faces import NONE, Clustering, ClusterSettings

METHODS = ("hdbscan", "dbscan", "agglomerative")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=100_000)
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--new", type=int, default=1_000)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["hdbscan"])
    given = parser.parse_args()
    table = Table(
        "", "seconds", "CPU s", "clusters", "precision", "recall", "F", "impurity", "peak MB", box=SIMPLE_HEAD
    )
    faces, people = planted_faces(given.faces, given.people)
    calibration, *times = _timed(lambda: calibrate(faces.vectors, faces.pictures, faces.pinned))
    table.add_row("calibrate", *(f"{seconds:.1f}" for seconds in times))
    for method in given.methods:
        settings = ClusterSettings(unknown_method=method)
        found, *times = _timed(lambda chosen=settings: cluster_faces(faces, calibration, chosen))
        table.add_row(*_row(method, found, people, times))
    new = np.zeros(given.faces, np.bool_)
    new[np.random.default_rng(1).choice(given.faces, min(given.new, given.faces), replace=False)] = True
    old = replace(faces, previous=np.where(new, NONE, found.clusters))
    assigned, *times = _timed(lambda: assign_faces(old, new, calibration))
    table.add_row(*_row(f"assign {new.sum()}", assigned, people, times))
    console = Console(width=120)
    console.print(calibration)
    console.print(table)


def _timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """Call `work`. Return its result, the seconds on the clock, and the processor seconds."""
    clock, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, time.perf_counter() - clock, time.process_time() - processor


def _row(name: str, found: Clustering, people: Rows, times: list[float]) -> list[str]:
    figures = agreement(found.clusters, people)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    clusters = len(np.unique(found.clusters[found.clusters >= 0]))
    return [name, *(f"{s:.1f}" for s in times), str(clusters), *(f"{figure:.4f}" for figure in figures), f"{peak:.0f}"]


if __name__ == "__main__":
    main()
