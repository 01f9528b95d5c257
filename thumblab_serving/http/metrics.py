"""Collect metrics for Prometheus: latencies, use of the keys, scored thumbnails, predictions, releases, and memory.

If there are several workers, they write their metrics to the folder `PROMETHEUS_MULTIPROC_DIR`. The worker that answers
`/metrics` returns the metrics of all workers. `WorkerRegistry` knows which releases each worker serves, and which
promoted releases each worker could not load.
"""

import contextlib
from collections import Counter as Tally
from collections.abc import Iterable
from typing import Literal

import psutil
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from thumblab_serving.http.bodies import Budget
from thumblab_serving.loading.kept_predictions import KEPT, LOST, PredictionKeeper
from thumblab_serving.schemas.answer import ScoreAnswer
from thumblab_serving.scoring.scorer import Scorer
from thumblab_serving.workers.registry import WorkerRegistry
from thumblab_serving.workers.shared_cache import SharedCache
from thumblab_serving.workers.shared_folder import shared_folder

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)


class Metrics:
    """The metrics of one service, in a registry that no other service uses.

    `shared` is the cache of all workers, or None if there is one worker.
    """

    def __init__(
        self, scorer: Scorer, bodies: Budget, workers: WorkerRegistry, shared: SharedCache | None = None
    ) -> None:
        self._scorer = scorer
        self._bodies = bodies
        self._workers = _WorkerCollector(workers, shared)
        self._process = psutil.Process()
        self._registry = CollectorRegistry()
        self._registry.register(self._workers)
        self._latency = Histogram(
            "thumblab_request_seconds",
            "Seconds from the first byte of a request to the last byte of its answer.",
            ["method", "route", "status"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._keys = Counter(
            "thumblab_key_requests",
            "Requests with a known key, by the name of the key, and whether they were allowed.",
            ["key", "outcome"],
            registry=self._registry,
        )
        self._keys_used = Gauge(
            "thumblab_key_last_used_timestamp_seconds",
            "Unix time of the last request with a known key, by the name of the key.",
            ["key"],
            registry=self._registry,
            multiprocess_mode="max",
        )
        self._thumbnails = Counter(
            "thumblab_thumbnails",
            "Thumbnails in answers, by niche, and by whether they were scored.",
            ["niche", "outcome"],
            registry=self._registry,
        )
        self._predictions = Counter(
            "thumblab_predictions",
            "Answers that were kept as predictions, or that should have been kept but are lost.",
            ["outcome"],
            registry=self._registry,
        )
        self._lookups = Counter(
            "thumblab_cache_lookups",
            "Lookups in a cache, by where the value was found: in memory, in the cache that the workers share, or "
            "nowhere (the value is then computed).",
            ["cache", "found"],
            registry=self._registry,
        )
        self._counted_lookups = Tally[tuple[str, str]]()
        self._memory: dict[str, tuple[int, int]] = {}
        self._used = self._gauge("thumblab_memory_bytes", "Bytes of memory in use, for each kind of use.")
        self._limit = self._gauge(
            "thumblab_memory_limit_bytes", "Maximum number of bytes of memory, for each kind of use."
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Record the latency of a request."""
        self._latency.labels(method, route, str(status)).observe(seconds)
        self._update_memory()

    def key_request(self, name: str, outcome: Literal["allowed", "forbidden", "too_many"]) -> None:
        """Count a request that was sent with the key called `name`."""
        self._keys.labels(name, outcome).inc()
        self._keys_used.labels(name).set_to_current_time()

    def answer(self, answer: ScoreAnswer) -> None:
        """Count the scored thumbnails of an answer, and its thumbnails with an error."""
        failed = sum(thumbnail.error is not None for thumbnail in answer.thumbnails)
        self._thumbnails.labels(answer.niche, "scored").inc(len(answer.thumbnails) - failed)
        self._thumbnails.labels(answer.niche, "error").inc(failed)

    def watch(self, keeper: PredictionKeeper) -> None:
        """From now on, count the predictions that `keeper` keeps and the predictions that it loses."""
        for outcome in (KEPT, LOST):
            self._predictions.labels(outcome)
        keeper.report_to(lambda outcome, count: self._predictions.labels(outcome).inc(count))

    def text(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        self._update_memory()
        folder = shared_folder()
        if folder is None:
            return generate_latest(self._registry)
        for worker in {int(path.stem.rpartition("_")[2]) for path in folder.glob("gauge_live*.db")}:
            if not psutil.pid_exists(worker):
                # `mark_process_dead` deletes files of a dead worker. Another worker may have deleted them already.
                with contextlib.suppress(FileNotFoundError):
                    multiprocess.mark_process_dead(worker)  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        registry.register(self._workers)
        return generate_latest(registry)

    def _gauge(self, name: str, description: str) -> Gauge:
        return Gauge(name, description, ["use"], registry=self._registry, multiprocess_mode="livesum")

    def _update_memory(self) -> None:
        for name, cache in self._scorer.caches.items():
            self._set_memory(f"cache-{name}", cache.used, cache.limit)
            for found, number in cache.lookups.items():
                new = number - self._counted_lookups[name, found]
                if new or (name, found) not in self._counted_lookups:
                    self._lookups.labels(name, found).inc(new)
                    self._counted_lookups[name, found] = number
        self._set_memory("bodies", self._bodies.used, self._bodies.limit)
        self._used.labels("resident").set(self._process.memory_info().rss)

    def _set_memory(self, use: str, used: int, limit: int) -> None:
        """Set the two gauges of a use. If they have these values already, do nothing, because that takes less time."""
        if self._memory.get(use) != (used, limit):
            self._used.labels(use).set(used)
            self._limit.labels(use).set(limit)
            self._memory[use] = used, limit


class _WorkerCollector(Collector):
    """A Prometheus collector that describes all workers of the service whenever metrics are requested."""

    def __init__(self, workers: WorkerRegistry, shared: SharedCache | None) -> None:
        self._workers = workers
        self._shared = shared

    def collect(self) -> Iterable[Metric]:
        count = GaugeMetricFamily(
            "thumblab_workers", "Workers that are ready, and workers that are still loading.", labels=["state"]
        )
        served = GaugeMetricFamily(
            "thumblab_release_served", "Workers that serve this release.", labels=["kind", "scope", "release"]
        )
        refused = GaugeMetricFamily(
            "thumblab_release_refused", "Workers that could not load the promoted release.", labels=["kind", "scope"]
        )
        states = [worker.state for worker in self._workers.all()]
        ready = sum(state.ready for state in states)
        count.add_metric(["ready"], ready)
        count.add_metric(["loading"], len(states) - ready)
        for (slot, release), number in Tally(item for state in states for item in state.served.items()).items():
            served.add_metric([*slot.split("/", 1), release], number)
        refusing = Tally(slot for state in states for slot in state.refused)
        for slot in sorted({slot for state in states for slot in (*state.served, *state.refused)}):
            refused.add_metric(slot.split("/", 1), refusing[slot])
        return [count, served, refused, *self._of_shared_cache()]

    def _of_shared_cache(self) -> Iterable[Metric]:
        if self._shared is None:
            return
        for name, value in (("bytes", self._shared.used), ("limit_bytes", self._shared.limit)):
            metric = GaugeMetricFamily(
                f"thumblab_shared_cache_{name}", "Bytes, or maximum bytes, of the file of the shared cache."
            )
            metric.add_metric([], value)
            yield metric
