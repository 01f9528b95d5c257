"""Start a Ray cluster of two nodes with one core each on this machine, and run Python programs beside it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # The tests share a machine with others, and Ray must not end workers because the others use much memory.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_DEDUP_LOGS": "0",
}
_STORE = 80 * 2**20
HERE = Path(__file__).resolve().parent


@contextmanager
def ray_nodes(count: int = 2, **more: str) -> Iterator[Any]:
    """Start a cluster of `count` nodes with one core each. `more`: environment variables of the nodes.

    The workers can import the modules in the folder of this file.
    """
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    os.environ.update(ENVIRONMENT | {"PYTHONPATH": str(HERE)} | more)
    node = {"num_cpus": 1, "object_store_memory": _STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        for _ in range(count - 1):
            cluster.add_node(num_cpus=1, object_store_memory=_STORE)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)
