"""Start a Ray cluster of two nodes on this machine, with one core each. Run Python programs that connect to the
cluster.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    # Ray ends workers if the machine has little free memory. Other programs on the machine may need much memory, so the
    # tests turn this monitor off.
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_DEDUP_LOGS": "0",
}
_STORE = 80 * 2**20
FOLDERS = [Path(__file__).resolve().parents[1] / folder for folder in ("ray_cluster", "training")]
"""The folders of the test modules that the workers import in addition to the lab's own modules."""


@contextmanager
def ray_nodes(count: int = 2, **more: str) -> Iterator[Any]:
    """Start a cluster of `count` nodes with one core each. `more` has environment variables of the nodes.

    At the end, this process leaves the cluster, and the nodes are stopped.

    The workers can import the modules in `FOLDERS`.
    """
    import ray
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    os.environ.update(ENVIRONMENT | {"PYTHONPATH": ":".join(map(str, FOLDERS))} | more)
    node = {"num_cpus": 1, "object_store_memory": _STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=node)
    try:
        for _ in range(count - 1):
            cluster.add_node(num_cpus=1, object_store_memory=_STORE)
        cluster.wait_for_nodes()
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)
