"""What Prometheus reads: latencies, thumbnails scored, releases served and refused."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from thumblab_serving.schemas import ScoreAnswer
from thumblab_serving.state import State

_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8)


class Metrics:
    """The metrics of one service, in a registry of their own."""

    def __init__(self, state: State) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_ReleaseCollector(state))
        self._latency = Histogram(
            "thumblab_request_seconds",
            "From the first byte of a request to the last of its answer.",
            ["method", "route", "status"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._thumbnails = Counter(
            "thumblab_thumbnails",
            "Thumbnails answered, by niche and outcome.",
            ["niche", "outcome"],
            registry=self._registry,
        )

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        self._latency.labels(method, route, str(status)).observe(seconds)

    def answer(self, answer: ScoreAnswer) -> None:
        failed = sum(thumbnail.error is not None for thumbnail in answer.thumbnails)
        self._thumbnails.labels(answer.niche.value, "scored").inc(len(answer.thumbnails) - failed)
        self._thumbnails.labels(answer.niche.value, "error").inc(failed)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class _ReleaseCollector(Collector):
    """Read from the state when asked, so that it cannot disagree with it."""

    def __init__(self, state: State) -> None:
        self._state = state

    def collect(self) -> Iterable[Metric]:
        served = GaugeMetricFamily(
            "thumblab_release_served", "1 for the release that is served.", labels=["kind", "scope", "release"]
        )
        refused = GaugeMetricFamily(
            "thumblab_release_refused", "1 while the promoted release is refused.", labels=["kind", "scope"]
        )
        for slot in self._state.slots:
            loaded = slot.loaded
            if loaded is not None:
                served.add_metric([slot.kind, slot.scope, loaded.release_id], 1)
            refused.add_metric([slot.kind, slot.scope], float(slot.refusal is not None))
        return [served, refused]
