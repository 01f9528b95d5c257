"""Fixtures with a real Dagster for the tests of this folder.

The lab's webserver runs with the lab's jobs for people, and with one job that only the tests use. No daemon runs. The
runs of the tests' own job therefore wait, and the runs of the other jobs begin immediately.
"""

import os
import socket
import subprocess
import sys
import time

import httpx
import pytest
from pydantic import SecretStr

from thumblab_core.settings import Settings

JOBS = """
from dagster import Config, Definitions, DynamicPartitionsDefinition, asset, in_process_executor, job, op

from thumblab_pipelines.defs.people.face_clusters import face_clusters
from thumblab_pipelines.defs.people.jobs import group_people, train_people
from thumblab_pipelines.defs.people.matching_head import matching_head
from thumblab_pipelines.defs.people.people import people
from thumblab_pipelines.defs.resources import LabResource

NICHES = DynamicPartitionsDefinition(name="niche")

class Build(Config):
    factory: str = ""

@asset(partitions_def=NICHES)
def raw_videos(): ...

@op
def faiss_index(config: Build): ...

@job(partitions_def=NICHES)
def rebuild_index():
    faiss_index()

defs = Definitions(
    assets=[raw_videos, face_clusters, matching_head, people],
    jobs=[rebuild_index, group_people, train_people],
    resources={"lab": LabResource()},
    executor=in_process_executor,
)
"""
COORDINATOR = """
from dagster._core.run_coordinator import QueuedRunCoordinator

class Coordinator(QueuedRunCoordinator):
    def submit_run(self, context):
        run = context.dagster_run
        if run.job_name == "rebuild_index":
            return super().submit_run(context)
        self._instance.launch_run(run.run_id, context.workspace)
        return run
"""
INSTANCE = "telemetry: {enabled: false}\nrun_coordinator: {module: coordinator, class: Coordinator}\n"
WORKSPACE = "load_from:\n  - python_file: {relative_path: jobs.py, location_name: thumblab}\n"


@pytest.fixture(scope="package")
def settings(tmp_path_factory, migrated_database):
    """The settings of a lab whose Dagster runs. The files of Dagster are in the data folder."""
    tmp_path = tmp_path_factory.mktemp("dagster")
    url, embedder = migrated_database(), tmp_path / "embedder.onnx"
    embedder.write_bytes(b"\x08: only its digest is read, because no picture is searched")
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "coordinator.py").write_text(COORDINATOR)
    (tmp_path / "workspace.yaml").write_text(WORKSPACE)
    (tmp_path / "dagster.yaml").write_text(INSTANCE)
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
        "THUMBLAB_DATABASE_URL": url,
        "THUMBLAB_PEOPLE": "own",
        "THUMBLAB_FACE_EMBEDDER": str(embedder),
    }
    address = f"http://127.0.0.1:{port}"
    with (tmp_path / "log").open("wb") as log:
        dagster = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 200
        while True:
            try:
                httpx.get(f"{address}/server_info", trust_env=False)
                break
            except httpx.HTTPError:
                assert time.monotonic() < deadline and dagster.poll() is None, (tmp_path / "log").read_text()
                time.sleep(0.2)
        yield Settings(
            data_dir=tmp_path,
            dagster_url=address,
            database_url=SecretStr(url),
            people="own",
            face_embedder=embedder,
        )
    finally:
        dagster.terminate()
        dagster.wait(30)
