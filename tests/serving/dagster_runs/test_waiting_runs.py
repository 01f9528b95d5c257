"""Test which waiting runs of a real Dagster are used again, and how many may wait. No daemon runs, so all runs wait."""

import asyncio
import os
import socket
import subprocess
import sys
import time

import httpx
import pytest

from thumblab_core.settings import Settings
from thumblab_serving.dagster_runs import runs as runs_module
from thumblab_serving.dagster_runs.graphql import DagsterGraphql
from thumblab_serving.dagster_runs.runs import DagsterRuns, FullQueueError, RunRequest, StartedRun

JOB = """
from dagster import Config, Definitions, StaticPartitionsDefinition, job, op

class Build(Config):
    factory: str = ""

@op
def faiss_index(config: Build): ...

@job(partitions_def=StaticPartitionsDefinition(["tech", "news"]))
def rebuild_index():
    faiss_index()

defs = Definitions(jobs=[rebuild_index])
"""
WORKSPACE = "load_from:\n  - python_file: {relative_path: jobs.py, location_name: thumblab}\n"
FACTORY = {"ops": {"faiss_index": {"config": {"factory": "IVF2,Flat"}}}}


@pytest.fixture
def start(tmp_path):
    """Return a function that starts runs in a Dagster, one request after the other, and returns what was started."""
    (tmp_path / "jobs.py").write_text(JOB)
    (tmp_path / "workspace.yaml").write_text(WORKSPACE)
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "dagster_webserver", "-w", "workspace.yaml", "-h", "127.0.0.1", "-p", str(port)]
    env = os.environ | {"DAGSTER_HOME": str(tmp_path)}
    url = f"http://127.0.0.1:{port}"
    with (tmp_path / "log").open("wb") as log:
        dagster = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                httpx.get(f"{url}/server_info", trust_env=False)
                break
            except httpx.HTTPError:
                assert time.monotonic() < deadline and dagster.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.2)

        async def start_all(requests):
            graphql = DagsterGraphql(Settings(data_dir=tmp_path, dagster_url=url))
            try:
                return [(await DagsterRuns(graphql).start([request]))[0] for request in requests]
            finally:
                await graphql.close()

        yield lambda *requests: asyncio.run(start_all(requests))
    finally:
        dagster.terminate()
        dagster.wait(30)


def test_runs_with_config_are_counted_and_never_used_again(start, monkeypatch):
    plain, given = RunRequest("rebuild_index", "tech"), RunRequest("rebuild_index", "tech", FACTORY)
    started = start(given, plain, given, plain, RunRequest("rebuild_index", "news"))
    assert all(isinstance(run, StartedRun) for run in started), started
    assert [run.reused for run in started] == [False, False, False, True, False]
    assert started[3].run_id == started[1].run_id
    assert len({run.run_id for run in started}) == 4
    monkeypatch.setattr(runs_module, "MOST_QUEUED", 4)
    with pytest.raises(FullQueueError, match="4 runs of rebuild_index wait already"):
        start(given)
    assert start(plain)[0].reused
