"""Train one model in worker processes of a Ray cluster, with the function that trains it in one process.

Ray Train starts the processes and connects them. `ProcessGroup` then divides the pairs of each step, as it does under
`accelerate launch`. A single worker computes the same weights as a training without Ray. Several workers add up their
gradients in another order, so the last digits of the weights differ.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from thumblab_core.errors import LabError
from thumblab_pipelines.ray_cluster.cluster import Cluster
from thumblab_pipelines.ray_cluster.connection import ClusterError, cluster_errors, imported, own_signal_handlers
from thumblab_pipelines.training.arrays import TrainingArrays
from thumblab_pipelines.training.config import NO_FOLDERS, Epoch, TrainConfig, TrainingFolders
from thumblab_pipelines.training.fitting import fit

Model = TypeVar("Model", bound=nn.Module)

_RETRIES = 3
"""Maximum number of times that a training is started again after a worker has died. The training resumes from its
checkpoint."""


def fit_on_cluster(
    cluster: Cluster,
    arrays: TrainingArrays,
    config: TrainConfig,
    model: Model,
    *,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
    folders: TrainingFolders = NO_FOLDERS,
    checkpoint_every: int = 10,
) -> tuple[Model, list[Epoch]]:
    """Train `model` on the cluster, and return it as `fit` does. The given model is not changed.

    Each worker must see `folders` at the same path. If a worker dies, all workers start again from the last checkpoint.
    Raises the `LabError` of `fit`, and `ClusterError` if the cluster is lost or has too few workers.
    """
    if cluster.workers < cluster.training_workers:
        raise LabError(
            f"the Ray cluster {cluster.address} has room for {cluster.workers} workers, but "
            f"THUMBLAB_RAY_TRAINING_WORKERS is {cluster.training_workers}; lower this setting, or add a node"
        )
    ray, train, torch_trainer = imported("ray"), imported("ray.train"), imported("ray.train.torch").TorchTrainer
    # Ray Train requires a folder that all workers see, although this training stores nothing in the folder.
    storage = cluster.shared / "ray-train"
    # Without this variable, the workers would use this folder as their working directory. But the folder is deleted
    # below.
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"
    with cluster_errors(), cluster.hearing(on_epoch) as tell:
        work = ray.put(ray.cloudpickle.dumps((arrays, config, model, folders.resolved(), checkpoint_every)))
        trainer = torch_trainer(
            _fit_in_worker,
            train_loop_config={"work": [work], "tell": tell},
            scaling_config=train.ScalingConfig(
                num_workers=cluster.training_workers,
                use_gpu=cluster.gpus > 0,
                resources_per_worker={"CPU": cluster.cpus} | ({"GPU": cluster.gpus} if cluster.gpus else {}),
            ),
            run_config=train.RunConfig(
                storage_path=str(storage), failure_config=train.FailureConfig(max_failures=_RETRIES)
            ),
        )
        try:
            with own_signal_handlers():
                result = trainer.fit()
        except train.TrainingFailedError as error:
            raise ClusterError(
                f"the training on the Ray cluster failed: {' '.join(str(error).split())[:500]}"
            ) from error
    shutil.rmtree(Path(result.path), ignore_errors=True)
    outcome = ray.cloudpickle.loads(result.return_value)
    if isinstance(outcome, LabError):
        raise outcome
    fitted, history = outcome
    return fitted, history


def _fit_in_worker(loop: dict[str, Any]) -> bytes:
    """Train in one worker. Return the pickled result of `fit`, or its pickled `LabError`.

    The `LabError` is returned and not raised, because Ray Train would repeat a training that raises an error.
    """
    ray, train = imported("ray"), imported("ray.train")
    arrays, config, model, folders, every = ray.cloudpickle.loads(ray.get(loop["work"][0]))
    tell = loop["tell"] if train.get_context().get_world_rank() == 0 else _nothing
    try:
        outcome: Any = fit(arrays, config, model, on_epoch=tell, folders=folders, checkpoint_every=every)
    except LabError as error:
        outcome = error
    return bytes(ray.cloudpickle.dumps(outcome))


def _nothing(epoch: Epoch) -> None:
    """Ignore the epoch. Only the first worker reports its epochs."""
