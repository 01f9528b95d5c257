"""Describe the pipelines for Prometheus: the state that the sensor `alerts` has stored, the served releases, and the
disk.

Dagster's sensor `alerts` writes `monitoring.json` twice a minute. The service reads this file for `/metrics`. So
`/metrics` shows all metrics of a lab, but needs neither Dagster nor the database.
"""

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from thumblab_core.errors import LabError
from thumblab_core.monitoring.watch_state import WatchState, read_state
from thumblab_core.niches import NicheFile
from thumblab_core.releases.place import polled_place
from thumblab_core.releases.release import INDEX
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings

_LEVELS = {"passed": 0, "warning": 1, "error": 2}


def pipeline_metrics(settings: Settings, niches: NicheFile) -> bytes:
    """Return the metrics in the text format of Prometheus. The function reads files, so call it in a thread.

    `niches`: one object for all requests. While the file of the niches is damaged, the object keeps the last names.
    """
    registry = CollectorRegistry()
    registry.register(_PipelineCollector(settings, niches))
    return generate_latest(registry)


class _PipelineCollector(Collector):
    def __init__(self, settings: Settings, niches: NicheFile) -> None:
        self._settings = settings
        self._niches = niches

    def collect(self) -> Iterable[Metric]:
        yield from self._releases()
        yield from self._disk()
        try:
            state = read_state(self._settings.data_dir)
        except LabError:
            state = None
        # If Dagster was never started, there are no values for these metrics yet, so the metrics are left out.
        if state is not None and state.checked_at is not None:
            yield from _of_state(state, state.checked_at)

    def _releases(self) -> Iterator[Metric]:
        made = GaugeMetricFamily(
            "thumblab_release_made_timestamp_seconds",
            "Unix time at which the promoted release was made.",
            labels=["kind", "scope"],
        )
        store = ReleaseStore(polled_place(self._settings))
        try:
            scopes = store.scopes()
        except LabError:  # The object store cannot be reached. `/health` says so.
            scopes = []
        niches = self._niches.names
        for kind, scope in scopes:
            if kind == INDEX and scope not in niches:  # The index of a retired niche is neither refreshed nor served.
                continue
            try:
                release = store.serving.current(kind, scope)
            except (LabError, UnicodeDecodeError):
                continue
            if release is not None:
                made.add_metric([kind, scope], datetime.fromisoformat(release.created_at).timestamp())
        yield made

    def _disk(self) -> Iterator[Metric]:
        free = GaugeMetricFamily("thumblab_disk_free_bytes", "Free bytes on the folder's disk.", labels=["folder"])
        size = GaugeMetricFamily("thumblab_disk_size_bytes", "Size in bytes of the folder's disk.", labels=["folder"])
        chosen = self._settings
        releases = chosen.releases if chosen.release_store is None else chosen.release_cache
        for name, folder in (("data", chosen.data_dir), ("releases", releases)):
            try:
                usage = shutil.disk_usage(folder)
            except OSError:
                continue
            free.add_metric([name], usage.free)
            size.add_metric([name], usage.total)
        return iter([free, size])


def _of_state(state: WatchState, checked_at: datetime) -> Iterator[Metric]:
    yield _gauge(
        "thumblab_watch_timestamp_seconds", "Unix time when the runs were last checked.", checked_at.timestamp()
    )
    yield _gauge("thumblab_alerts_open", "Alerts that are open.", len(state.alerts))
    refreshed = GaugeMetricFamily(
        "thumblab_refresh_success_timestamp_seconds", "Unix time of the last successful refresh.", labels=["niche"]
    )
    for niche, moment in state.refreshed.items():
        refreshed.add_metric([niche], moment.timestamp())
    runs = GaugeMetricFamily("thumblab_runs", "Runs of Dagster that wait or run now.", labels=["state"])
    for name, number in state.going_on.items():
        runs.add_metric([name], number)
    # Prometheus itself sets the labels `job` and `instance`, and would rename a label of the service with these names.
    ended = CounterMetricFamily(
        "thumblab_runs_ended", "Runs of Dagster that have ended.", labels=["dagster_job", "outcome"]
    )
    for slot, number in state.totals.items():
        ended.add_metric(slot.rsplit("/", 1), number)
    checks = GaugeMetricFamily(
        "thumblab_check_level",
        "The last result of a check: 0 passed, 1 warning, 2 error.",
        labels=["asset", "check", "niche"],
    )
    for key, check in state.checks.items():
        checks.add_metric([text or "" for text in json.loads(key)], _LEVELS[check.level])
    left = GaugeMetricFamily("thumblab_quota_left", "Calls that YouTube still allows today.", labels=["bucket"])
    limit = GaugeMetricFamily("thumblab_quota_limit", "Calls that YouTube's quota allows in a day.", labels=["bucket"])
    for bucket, quota in state.quota.items():
        left.add_metric([bucket], quota.left)
        limit.add_metric([bucket], quota.limit)
    waiting = GaugeMetricFamily(
        "thumblab_alert_messages_waiting",
        "Alert messages that were not delivered yet, for each way of delivery.",
        labels=["channel"],
    )
    for channel, number in Counter(delivery.channel for delivery in state.deliveries).items():
        waiting.add_metric([channel], number)
    yield from (refreshed, runs, ended, checks, left, limit, waiting)
    if state.database_bytes is not None:
        yield _gauge("thumblab_database_bytes", "Bytes of the lab's database.", state.database_bytes)


def _gauge(name: str, description: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, description, value=value)
