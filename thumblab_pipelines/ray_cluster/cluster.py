"""Run work on the Ray cluster that the settings name: a stream of blocks, or a list of independent tasks.

The results are in the order of the input, whatever the number of workers. Only the calling process writes to the
database. If a worker process dies, only the blocks that it was computing are computed again, by another worker.
"""

import math
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from logging import WARNING, getLogger
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar
from warnings import catch_warnings, simplefilter

from thumblab_core.errors import LabError
from thumblab_core.settings import Settings
from thumblab_pipelines.ray_cluster.connection import cluster_errors, connect, imported

B = TypeVar("B")
R = TypeVar("R")

_RETRIES = 3
"""How often a block or task is tried again after the death of its worker. A picture that
kills every worker must not be tried for ever."""
_DONE, _FAILED = "done", "failed"


@dataclass(frozen=True)
class Cluster:
    """A Ray cluster to which this process is connected.

    `cpus` and `gpus`: the cores and GPUs of one worker. `workers`: number of workers for which the nodes have room.
    `nodes`: number of nodes. `training_workers`: number of workers that train one model together.
    `shared`: a folder that every node sees at this path.
    """

    address: str
    cpus: int
    gpus: float
    workers: int
    nodes: int
    training_workers: int
    shared: Path

    def __str__(self) -> str:
        return f"Ray cluster {self.address}, nodes: {self.nodes}, workers: {self.workers}"

    def stream(self, work: Callable[[B], R], blocks: Sequence[B]) -> Iterator[tuple[str, R]]:
        """Yield for each block, in order, the place where it was computed, and the result `work(block)`.

        Ray Data computes the blocks in worker processes. A place is a text that names a host and a process.

        Each worker process keeps what `work` caches, such as a loaded model. A `LabError` in a worker is raised here.
        Raises `ClusterError` if the worker of a block dies again and again.
        """
        if not blocks:
            return
        ray, data = imported("ray"), imported("ray.data")
        getLogger("ray.data").setLevel(WARNING)
        rows = [{"block": ray.cloudpickle.dumps(block)} for block in blocks]
        dataset = data.from_items(rows, override_num_blocks=len(rows))
        dataset.context.execution_options.preserve_order = True
        dataset.context.enable_progress_bars = False
        with catch_warnings():
            # In Ray 2.60, only `ray_remote_args_fn` can limit how often an actor's task is tried again. Ray warns that
            # this argument is deprecated.
            simplefilter("ignore")
            computed = dataset.map_batches(
                BlockWorker,
                batch_size=1,
                batch_format="numpy",
                compute=data.ActorPoolStrategy(size=min(self.workers, len(rows))),
                fn_constructor_args=[ray.cloudpickle.dumps(work)],
                num_cpus=self.cpus,
                num_gpus=self.gpus or None,
                ray_remote_args_fn=_actor_options,
            )
        with cluster_errors():
            for row in computed.iter_rows():
                yield _received(row["result"])

    def map(self, function: Callable[[B], R], items: Sequence[B]) -> list[R]:
        """Return `function(item)` for each item, in order. Each call is a task of its own, which any worker may run.

        `function` is sent to each node only once, so it may hold large arrays. A `LabError` in a task is raised here.
        """
        ray = imported("ray")
        with cluster_errors():
            sent = ray.put(ray.cloudpickle.dumps(function))
            call = ray.remote(num_cpus=self.cpus, num_gpus=self.gpus or None, max_retries=_RETRIES)(_call)
            results = ray.get([call.remote(sent, ray.cloudpickle.dumps(item)) for item in items])
        return [_received(result)[1] for result in results]

    @contextmanager
    def hearing(self, listener: Callable[..., None]) -> Iterator[Callable[..., None]]:
        """Yield a function that workers can call. The arguments of each call are passed to `listener` in a thread of
        this process.

        An error of the listener is raised at the end of the `with` block.
        """
        ray = imported("ray")
        strategy = imported("ray.util.scheduling_strategies").NodeAffinitySchedulingStrategy
        # The queue is placed on this node. On another node, it would be lost if that node died.
        here = strategy(ray.get_runtime_context().get_node_id(), soft=False)
        queue = imported("ray.util.queue").Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here})
        failed: list[Exception] = []
        thread = Thread(target=_hear, args=(queue, listener, failed), daemon=True)
        thread.start()
        try:
            yield partial(_tell, queue)
            queue.put(None)
            thread.join()
            if failed:
                raise failed[0]
        finally:
            queue.shutdown(force=True)


def cluster_of(settings: Settings) -> Cluster | None:
    """Connect to the Ray cluster that the settings name. Return None if the settings name no cluster.

    Raises `ClusterError` if the cluster does not answer. Raises `LabError` if Ray is not installed, or if no node has
    room for a worker. Also raises `LabError` if a node has another data folder, or other versions of the code or the
    packages.
    """
    if not settings.ray_address:
        return None
    cpus, gpus = settings.ray_worker_cpus, settings.ray_worker_gpus
    shared = settings.data_dir.resolve()
    nodes = connect(settings.ray_address, shared)
    workers = sum(_room(node["Resources"], cpus, gpus) for node in nodes)
    if not workers:
        raise LabError(
            f"no node of the Ray cluster {settings.ray_address} has {cpus} cores and {gpus:g} GPUs for a worker; change "
            "THUMBLAB_RAY_WORKER_CPUS or THUMBLAB_RAY_WORKER_GPUS, or add a node"
        )
    return Cluster(settings.ray_address, cpus, gpus, workers, len(nodes), settings.ray_training_workers, shared)


def _room(resources: dict[str, float], cpus: int, gpus: float) -> int:
    room = math.floor(resources.get("CPU", 0.0) / cpus)
    return min(room, math.floor(resources.get("GPU", 0.0) / gpus + 1e-9)) if gpus else room


class BlockWorker:
    """The actor of Ray Data that computes blocks, one at a time."""

    def __init__(self, work: bytes) -> None:
        self._pickled = work
        self._work: Callable[[Any], Any] | None = None

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        return {"result": [_outcome(self._loaded, bytes(block)) for block in batch["block"]]}

    def _loaded(self) -> Callable[[Any], Any]:
        if self._work is None:
            self._work = imported("ray").cloudpickle.loads(self._pickled)
        return self._work


def _call(function: bytes, item: bytes) -> bytes:
    """Call the pickled function in a worker, with the pickled item."""
    return _outcome(lambda: imported("ray").cloudpickle.loads(function), item)


def _outcome(load: Callable[[], Callable[[Any], Any]], item: bytes) -> bytes:
    """Load a function and call it. Return the result or the raised `LabError`, together with the place of this process,
    as pickled bytes.
    """
    cloudpickle = imported("ray").cloudpickle
    place = f"{socket.gethostname()} process {os.getpid()}"
    try:
        outcome = (_DONE, load()(cloudpickle.loads(item)), place)
    except LabError as error:
        outcome = (_FAILED, error, place)
    return bytes(cloudpickle.dumps(outcome))


def _received(result: bytes) -> tuple[str, Any]:
    outcome, value, place = imported("ray").cloudpickle.loads(result)
    if outcome == _FAILED:
        raise value
    return place, value


def _actor_options() -> dict[str, Any]:
    return {"max_task_retries": _RETRIES}


def _tell(queue: Any, *arguments: Any) -> None:
    queue.put(arguments)


def _hear(queue: Any, listener: Callable[..., None], failed: list[Exception]) -> None:
    # If the work fails, the main thread shuts down the queue while this thread waits for the next item.
    with suppress(imported("ray.exceptions").RayError):
        while (arguments := queue.get()) is not None:
            try:
                listener(*arguments)
            except Exception as error:  # noqa: BLE001  The thread that waits for the work raises the error.
                failed.append(error)
