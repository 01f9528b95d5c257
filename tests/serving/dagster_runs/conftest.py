"""Fixtures with a real Dagster for the tests of this folder: the lab's webserver, with a job that only the tests use."""

import os
import socket
import subprocess
import sys
import time

import httpx
import pytest

from thumblab_core.settings import Settings

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


@pytest.fixture(scope="package")
def settings(tmp_path_factory):
    """The settings of a lab whose Dagster runs. The files of Dagster lie in the data folder."""
    tmp_path = tmp_path_factory.mktemp("dagster")
    (tmp_path / "jobs.py").write_text(JOB)
    (tmp_path / "workspace.yaml").write_text(WORKSPACE)
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "thumblab_pipelines.lab_webserver", "-w", "workspace.yaml"]
    command += ["-h", "127.0.0.1", "-p", str(port)]
    env = os.environ | {
        "DAGSTER_HOME": str(tmp_path),
        "THUMBLAB_DATA_DIR": str(tmp_path),
        "THUMBLAB_MLFLOW_TRACKING_URI": "",
        "THUMBLAB_PUBLIC_HOSTS": "lab.example.com",
    }
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
        yield Settings(data_dir=tmp_path, dagster_url=url)
    finally:
        dagster.terminate()
        dagster.wait(30)
