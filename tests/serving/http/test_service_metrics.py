"""Test the metrics of a service.

The metrics contain the memory that the service uses, and count the requests of all its workers together.

The tests also check that a cache counts the bytes of its values and stays within its limit.
"""

import os
import re
import subprocess
import sys

import httpx


def test_metrics_have_the_bytes_and_the_limit_of_each_cache(service, draw):
    service.score(draw(4711))
    text = httpx.get(f"{service.url}/metrics", trust_env=False).text
    values = {
        (name, use): float(value)
        for name, use, value in re.findall(r'^(thumblab_memory\w*)_bytes\{use="([\w-]+)"\} (\S+)$', text, re.M)
    }
    uses = {use for name, use in values if name == "thumblab_memory_limit"}
    assert uses == {
        "bodies",
        "cache-pictures",
        "cache-titles",
        "cache-looks",
        "cache-appearances",
        "cache-placements",
        "cache-evidence",
        "cache-titled-looks",
        "cache-added-histories",
        "cache-own-histories",
    }
    assert all(values["thumblab_memory", use] <= values["thumblab_memory_limit", use] for use in uses)
    assert values["thumblab_memory", "cache-looks"] > 1_000
    assert values["thumblab_memory", "resident"] > 50 * 2**20


def test_a_cache_stays_within_its_limit_and_counts_nested_values():
    import numpy as np

    from thumblab_serving.loading.cache import Cache, memory_of

    cache = Cache[object](1_000, limit=10 * 4_000)
    for n in range(50):
        cache.get(n, lambda: {"vector": np.zeros((1, 1_000), np.float32)[0]})
        assert cache.used <= cache.limit
    assert 5 < len(cache) < 10
    assert memory_of(np.zeros(1_000, np.float32)) >= 4_000
    assert memory_of([(1.5,) * 100] * 10) >= 10 * 100 * 24


WORKERS = """
import os, signal
from types import SimpleNamespace
from thumblab_serving.http.bodies import Budget
from thumblab_serving.http.metrics import Metrics
from thumblab_serving.workers.registry import WorkerRegistry, WorkerState
from thumblab_serving.workers.shared_folder import shared_folder

scorer = SimpleNamespace(caches={})

def registry(state):
    return WorkerRegistry(shared_folder("workers"), lambda: state)

done, workers = os.pipe(), []
for _ in range(2):
    workers.append(os.fork())
    if workers[-1] == 0:
        budget = Budget(100)
        budget.take(30, "default")
        own = registry(WorkerState(True, {"model/all": "m1", "index/tech": f"i{len(workers)}"}, {"model/all": "damaged"}))
        Metrics(scorer, budget, own).request("GET", "/health", 200, 0.1)
        own.update()
        os.write(done[1], b".")
        signal.pause()
for _ in workers:
    os.read(done[0], 1)
print(Metrics(scorer, Budget(100), registry(WorkerState(False, {"model/all": "m0"}))).text().decode())
for worker in workers:
    os.kill(worker, signal.SIGKILL)
"""


def test_one_worker_reports_the_metrics_of_all_workers(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WORKERS],
        env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert 'thumblab_request_seconds_count{method="GET",route="/health",status="200"} 2.0' in done.stdout, done.stderr
    assert 'thumblab_memory_bytes{use="bodies"} 60.0' in done.stdout
    assert 'thumblab_workers{state="ready"} 2.0' in done.stdout
    assert 'thumblab_workers{state="loading"} 1.0' in done.stdout
    assert 'thumblab_release_served{kind="model",release="m1",scope="all"} 2.0' in done.stdout
    assert 'thumblab_release_served{kind="index",release="i1",scope="tech"} 1.0' in done.stdout
    assert 'thumblab_release_refused{kind="model",scope="all"} 2.0' in done.stdout
    assert 'thumblab_release_refused{kind="index",scope="tech"} 0.0' in done.stdout


def test_files_of_a_dead_worker_may_be_deleted_by_another_worker(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from thumblab_serving.http import metrics
    from thumblab_serving.http.bodies import Budget
    from thumblab_serving.workers.registry import WorkerRegistry, WorkerState

    (tmp_path / "gauge_livesum_4194999.db").touch()

    def removed_first(worker):
        (tmp_path / f"gauge_livesum_{worker}.db").unlink()
        raise FileNotFoundError(worker)

    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(metrics.psutil, "pid_exists", lambda _: False)
    monkeypatch.setattr(metrics.multiprocess, "mark_process_dead", removed_first)
    workers = WorkerRegistry(None, lambda: WorkerState(True, {"model/all": "m"}))
    assert b"thumblab_release_served" in metrics.Metrics(SimpleNamespace(caches={}), Budget(1), workers).text()
