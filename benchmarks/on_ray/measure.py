"""Encode pictures on a Ray cluster of this machine, and measure the speed of its workers."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.encoding import synthetic_files
from thumblab_core.encoders.load import named_image_encoder
from thumblab_core.encoders.protocol import ImageEncoder
from thumblab_core.image_store import ImageFolder
from thumblab_core.settings import Settings
from thumblab_pipelines.features.encoding_work import PictureEncoding, Source
from thumblab_pipelines.ray_cluster.cluster import Cluster, cluster_of

BLOCK = 16
_STORE = 100 * 2**20
_FILES = 32


@dataclass(frozen=True)
class Block:
    """The times of a block of pictures, which one worker encoded.

    `process` is the process id of the worker. `began` and `ended` are Unix times in seconds. `processor` is the
    processor time in seconds. `pictures` is the number of pictures.
    """

    process: int
    began: float
    ended: float
    processor: float
    pictures: int


@dataclass(frozen=True)
class Speed:
    """The speed of one or several workers, while all of them compute.

    `by_clock`: pictures per second of all workers together. `by_core`: pictures per second of processor time. `start`:
    seconds until every worker has finished its first block, in which it loads the model.
    """

    by_clock: float
    by_core: float
    start: float

    @classmethod
    def of(cls, blocks: Sequence[Block], begun: float) -> "Speed":
        """Return the speed of the workers that encoded `blocks`. `begun` is the time at which the cluster got the work.

        A worker's first block is left out, because the worker loads the model in this block.
        """
        workers = {block.process for block in blocks}
        first = {process: min(block.ended for block in blocks if block.process == process) for process in workers}
        last = {process: max(block.ended for block in blocks if block.process == process) for process in workers}
        start, end = max(first.values()), min(last.values())
        if end <= start:
            raise RuntimeError("the workers did not compute at the same time; use more blocks")
        # The window is the time in which all workers compute. A block that is only partly in the window counts in part.
        shares = [max(0.0, min(b.ended, end) - max(b.began, start)) / (b.ended - b.began) for b in blocks]
        pictures = sum(share * block.pictures for share, block in zip(shares, blocks, strict=True))
        processor = sum(share * block.processor for share, block in zip(shares, blocks, strict=True))
        return cls(pictures / (end - start), pictures / processor, start - begun)


class TimedEncoding(PictureEncoding):
    """An encoding of pictures that also measures the times of each block."""

    def timed(self, sources: Iterable[Source]) -> Block:
        began, processor = time.time(), time.process_time()
        pictures = sum(len(batch) for batch in self(sources))
        return Block(os.getpid(), began, time.time(), time.process_time() - processor, pictures)

    def __reduce__(self) -> tuple[Any, ...]:
        return _timed_encoding, (self.name, self.releases, self.images)


def _timed_encoding(name: str, releases: Path, images: ImageFolder) -> TimedEncoding:
    return TimedEncoding(named_image_encoder(name, releases), name, releases, images)


def measured(folder: Path, model: str, blocks: int, rounds: int) -> dict[int, list[Speed]]:
    """Return the speed in each round, by the number of workers (one or two). `folder` is an empty folder for the
    pictures.
    """
    images = ImageFolder(folder / "images")
    (folder / "files").mkdir()
    digests = [images.put(file.read_bytes()) for file in synthetic_files(folder / "files", _FILES)]
    name = f"open_clip:{model}/{_random_weights(model, folder)}"
    encoder: ImageEncoder = named_image_encoder(name, folder / "releases")
    work = TimedEncoding(encoder, name, folder / "releases", images)
    sources = [Source(f"v{number}", digests[number % len(digests)], "", "") for number in range(BLOCK * blocks)]
    speeds: dict[int, list[Speed]] = {1: [], 2: []}
    with _cluster(folder) as cluster:
        for _ in range(rounds):
            for workers, found in speeds.items():
                found.append(_speed(replace(cluster, workers=workers), work, sources))
    return speeds


def _speed(cluster: Cluster, work: TimedEncoding, sources: Sequence[Source]) -> Speed:
    divided = [sources[start : start + BLOCK] for start in range(0, len(sources), BLOCK)]
    begun = time.time()
    return Speed.of([block for _, block in cluster.stream(work.timed, divided)], begun)


@contextmanager
def _cluster(folder: Path) -> Iterator[Cluster]:
    """Start a cluster of two nodes with one core each, and connect to it. Stop the cluster after the `with` block."""
    import ray
    from ray.cluster_utils import Cluster as LocalCluster

    os.environ |= {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    node = {"num_cpus": 1, "object_store_memory": _STORE, "include_dashboard": False}
    nodes = LocalCluster(initialize_head=True, head_node_args=node)
    try:
        nodes.add_node(num_cpus=1, object_store_memory=_STORE)
        cluster = cluster_of(Settings(data_dir=folder, ray_address=nodes.address))
        assert cluster is not None
        yield cluster
    finally:
        ray.shutdown()
        nodes.shutdown()


def _random_weights(model: str, folder: Path) -> Path:
    from thumblab_core.encoders import torchvision_operators  # noqa: F401, I001

    import open_clip
    import torch

    torch.manual_seed(0)
    path = folder / f"{model}.pt"
    torch.save(open_clip.create_model(model).state_dict(), path)
    return path
