"""Connect this process to the Ray cluster that the settings name. Refuse a node on which the results could differ, for
example because its code is older.
"""

import importlib
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thumblab_core.computing.ray_settings import AUTO, LOCAL
from thumblab_core.errors import LabError
from thumblab_core.hosts import split_authority
from thumblab_pipelines.ray_cluster import node_facts

_REACH_S = 5.0
"""How long the head node may take to accept a connection, in seconds."""
_CHECK_S = 120.0
"""Maximum time in seconds until all nodes have said which code and files they have. Each node starts a process
first."""
_NAMED = 3
"""Maximum number of differing packages that are named in an error message."""

_lock = threading.Lock()
_connected: tuple[str, set[tuple[str, Path]]] | None = None
"""The address of the cluster to which this process is connected, or None if it is connected to no cluster.

For each node that `_check` has accepted, the second value has the id of the node and the data folder that it sees.
"""


class ClusterError(LabError):
    """The cluster cannot be reached, or it lost too many processes. The same work may succeed later."""

    transient = True


def connect(address: str, data_dir: Path) -> list[dict[str, Any]]:
    """Connect this process to the cluster, and return its living nodes, as `ray.nodes` describes them.

    Each node is checked once: it must have the lab's code, the same versions of packages, and the data folder at the
    same path. Raises `ClusterError` if the cluster does not answer, and `LabError` if Ray is not installed or a node
    fails a check.
    """
    global _connected
    ray = imported("ray")
    with _lock:
        if _connected is None or not ray.is_initialized():
            _initialise(ray, address)
            _connected = (address, set())
        joined, checked = _connected
        if joined != address:
            raise LabError(
                f"this process is connected to the Ray cluster {joined} already; start another process for {address}"
            )
        with cluster_errors():
            nodes = [node for node in ray.nodes() if node["Alive"]]
            _check(ray, [node for node in nodes if (node["NodeID"], data_dir) not in checked], data_dir)
        checked |= {(node["NodeID"], data_dir) for node in nodes}
    return nodes


def imported(module: str) -> Any:
    """Import a module of Ray. Raises `LabError` if Ray is not installed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise LabError(
            f"THUMBLAB_RAY_ADDRESS is set, but Ray is not installed here ({error}); run pip install 'thumblab[ray]', or "
            "unset THUMBLAB_RAY_ADDRESS"
        ) from None


@contextmanager
def cluster_errors() -> Iterator[None]:
    """Turn the errors of a lost cluster or lost processes into a `ClusterError`. Other errors are not changed."""
    exceptions = imported("ray.exceptions")
    lost = (
        exceptions.RayActorError,
        exceptions.WorkerCrashedError,
        exceptions.NodeDiedError,
        exceptions.LocalRayletDiedError,
        exceptions.TaskUnschedulableError,
        exceptions.ActorUnschedulableError,
        exceptions.OutOfMemoryError,
        exceptions.ObjectLostError,
        exceptions.RaySystemError,
        exceptions.RpcError,
        exceptions.GetTimeoutError,
    )
    try:
        yield
    except lost as error:
        reason = " ".join(str(error).split())[:300]
        raise ClusterError(
            f"the Ray cluster lost the processes of this work ({type(error).__name__}: {reason}); see `ray status` and "
            "the logs of its nodes, then start the work again"
        ) from error


@contextmanager
def own_signal_handlers() -> Iterator[None]:
    """Restore the handlers of SIGTERM and SIGINT at the end of the `with` block, in case the block has changed them.

    Ray sets handlers that end the process. Dagster's earlier handlers are needed, because they cancel a run properly.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _initialise(ray: Any, address: str) -> None:
    # Ray's C++ code may end the whole process if the head node does not answer, so the port is tried first.
    if address not in (AUTO, LOCAL):
        host, port = split_authority(address)
        try:
            socket.create_connection((host, port), _REACH_S).close()
        except OSError as error:
            raise _unreachable(address, error) from error
    # Without this variable, a cluster that Ray starts in this process would report its use to the makers of Ray.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    options: dict[str, Any] = {"include_dashboard": False} if address == LOCAL else {}
    try:
        with own_signal_handlers():
            ray.init(address=address, namespace="thumblab", log_to_driver=False, logging_level="warning", **options)
    except (OSError, RuntimeError, ValueError, TimeoutError, ray.exceptions.RayError) as error:
        ray.shutdown()
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> ClusterError:
    reason = " ".join(str(error).split())[:300]
    return ClusterError(
        f"the Ray cluster {address} cannot be reached ({reason}); start it with `ray start`, or change or unset "
        "THUMBLAB_RAY_ADDRESS"
    )


def _check(ray: Any, nodes: list[dict[str, Any]], data_dir: Path) -> None:
    """Check that each node has the code and the packages of this process, and sees the data folder.

    Raises `LabError` for the first node that does not.
    """
    if not nodes:
        return
    ray.cloudpickle.register_pickle_by_value(node_facts)
    token, content = data_dir / f".ray-{secrets.token_hex(8)}", secrets.token_hex(8)
    token.write_text(content)
    try:
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
        describe = ray.remote(num_cpus=0)(node_facts.describe)
        answers = [
            describe.options(scheduling_strategy=strategy(node["NodeID"], soft=False)).remote(str(token), content)
            for node in nodes
        ]
        described = ray.get(answers, timeout=_CHECK_S)
    finally:
        token.unlink(missing_ok=True)
    own = node_facts.versions()
    for node, (versions, sees_folder) in zip(nodes, described, strict=True):
        name = f"the node {node['NodeManagerHostname']} ({node['NodeManagerAddress']}) of the Ray cluster"
        different = [
            f"{what} is {versions.get(what, node_facts.MISSING)} there and {here} here"
            for what, here in own.items()
            if versions.get(what, node_facts.MISSING) != here
        ]
        if different:
            more = f" and {len(different) - _NAMED} more" if len(different) > _NAMED else ""
            raise LabError(
                f"{name} could compute different results: {'; '.join(different[:_NAMED])}{more}; install the same commit "
                "and the same locked versions on every node"
            )
        if not sees_folder:
            raise LabError(
                f"{name} does not see the data folder {data_dir}; mount it there at the same path, or remove the node"
            )
