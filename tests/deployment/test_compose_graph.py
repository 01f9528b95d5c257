"""Start the services of docker-compose.yml as processes without containers, and score a picture.

The commands, the environment and the health checks are taken from docker-compose.yml and the Dockerfile. Only hosts,
ports and paths are replaced, by `composed.Machine`. The processes start in random order on an empty database, and do
not wait for each other. The test restarts each process that has ended, as Docker does.
"""

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from composed import PORTS, Container, Machine, Postgres, composed, until

from demo.catalogues.synthetic import synthetic_catalogue

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1500)]

PASSWORD = "p%40:s/w ?d#"  # A password may contain any character, because no URL contains it.
KEY = "a-key-of-the-compose-graph"


class Graph:
    """The running services. `tend` restarts the services that have ended."""

    def __init__(self, machine: Machine, logs: Path) -> None:
        services = composed(machine.dotenv)["services"]
        self.machine, self._logs = machine, logs
        self.containers = {
            name: machine.container(name, service) for name, service in services.items() if "build" in service
        }
        self.postgres = Postgres(machine.data.parent / "postgres", PASSWORD, machine.ports[5432])

    def start_all(self, order: list[str]) -> None:
        for name in order:
            if name == "postgres":
                self.postgres.start()
            else:
                self._start(self.containers[name])

    def tend(self) -> None:
        for container in self.containers.values():
            if container.process is None:
                continue
            code = container.process.poll()
            if code is not None and not (container.name == "migrations" and code == 0):
                assert container.starts < 60, f"{container.name} ends again and again: {self.log(container.name)}"
                self._start(container)

    def waiting(self, true: Any, seconds: float, what: str) -> Any:
        def tended() -> Any:
            self.tend()
            return true()

        return until(tended, seconds, what, every=1.0)

    def log(self, name: str) -> str:
        path = self._logs / f"{name}.log"
        return path.read_text()[-3000:] if path.exists() else ""

    def url(self, port: int) -> str:
        return f"http://127.0.0.1:{self.machine.ports[port]}"

    def end(self) -> None:
        started = [c.process for c in self.containers.values() if c.process is not None]
        for process in started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + 60
        for process in started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.postgres.stop()

    def _start(self, container: Container) -> None:
        container.start(self.machine.lab, self._logs / f"{container.name}.log")


def free_ports(count: int) -> list[int]:
    """Return ports outside the range that the kernel uses for outgoing connections."""
    chosen = random.Random(os.getpid()).sample(range(20_000, 32_000), 400)
    taken = {c.laddr.port for c in psutil.net_connections("tcp") if c.laddr}
    return [port for port in chosen if port not in taken][:count]


@pytest.fixture(scope="module")
def graph() -> Iterator[Graph]:
    # If root runs the tests, PostgreSQL runs as another user. This user cannot enter the folders that pytest makes.
    folder = Path(tempfile.mkdtemp(prefix="thumblab-compose-")).resolve()
    folder.chmod(0o755)
    for name in ("data", "secrets", "logs"):
        (folder / name).mkdir()
    blank = dict.fromkeys(("youtube-api-key", "alert-webhook-url", "alert-smtp-password"), "")
    for name, secret in {"database-password": PASSWORD, "api-key": KEY, **blank}.items():
        (folder / "secrets" / name).write_text(f"{secret}\n")
    machine = Machine(
        folder / "data", folder / "secrets", folder / "lab", dict(zip(PORTS, free_ports(len(PORTS)), strict=True)),
        dotenv={"THUMBLAB_IMAGE_ENCODER": "builtin", "THUMBLAB_ENCODER_PRECISION": "float32"},
    )  # fmt: skip
    machine.make_lab()
    running = Graph(machine, folder / "logs")
    seed = int(os.environ.get("THUMBLAB_TEST_SEED", time.time_ns() % 10_000))
    order = random.Random(seed).sample([*running.containers, "postgres"], len(running.containers) + 1)
    print(f"seed {seed}: {', '.join(order)}")
    try:
        running.start_all(order)
        yield running
    finally:
        running.end()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def healthy(graph: Graph) -> Graph:
    """The running services, after every health check of docker-compose.yml has succeeded."""
    migrations = graph.containers["migrations"]
    assert migrations.process is not None

    def migrated() -> bool:
        return migrations.process is not None and migrations.process.poll() == 0

    graph.waiting(migrated, 300, f"migrations end: {graph.log('migrations')}")
    for name, container in graph.containers.items():
        if container.healthcheck is not None:
            check = container.healthy
            graph.waiting(lambda check=check: check(graph.machine.lab), 300, f"{name} is healthy: {graph.log(name)}")
    return graph


def score(graph: Graph, key: str = KEY) -> httpx.Response:
    catalogue = synthetic_catalogue(60)
    pictures = [catalogue.image(video) for video in list(catalogue.videos)[:2]]
    return httpx.post(
        f"{graph.url(8000)}/v1/score",
        data={"title": "I tested every phone", "category": "tech"},
        files=[("thumbnails", (f"{n}.jpg", data)) for n, data in enumerate(pictures)],
        headers={"X-API-Key": key},
        timeout=300,
        trust_env=False,
    )


def test_every_health_check_succeeds_in_any_order_of_starts(healthy: Graph) -> None:
    for name, container in healthy.containers.items():
        ended = container.process is None or container.process.poll() is not None
        assert ended == (name == "migrations"), healthy.log(name)


def test_before_any_release_the_service_takes_its_key_from_the_file_and_says_what_is_missing(healthy: Graph) -> None:
    assert score(healthy, key="another").status_code == 401
    answer = score(healthy)
    assert answer.status_code == 503
    assert "train_ranker" in answer.json()["detail"]


def test_a_run_on_the_code_server_makes_the_service_score(healthy: Graph, tmp_path: Path) -> None:
    """Import a catalogue with the command of the image `pipelines`. Then start the job `refresh_imported` in Dagster's
    webserver.

    The service must score with the model of this run.
    """
    import csv

    catalogue, rows = synthetic_catalogue(245), []
    for video in catalogue.videos.values():
        (tmp_path / f"{video.video_id}.jpg").write_bytes(catalogue.image(video.video_id))
        rows.append(
            {"video_id": video.video_id, "niche": video.niche, "channel": video.channel_title, "title": video.title,
             "views": video.views, "published_on": video.published_at.isoformat(),
             "observed_at": catalogue.observed_at.isoformat(), "duration_s": video.duration_s,
             "image": f"{video.video_id}.jpg"}
        )  # fmt: skip
    with (tmp_path / "videos.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    inside = healthy.containers["code-server"]
    done = subprocess.run(
        ["thumblab", "import", str(tmp_path)],
        env=inside.environment, cwd=healthy.machine.lab, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

    launched = graphql(
        healthy,
        """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
        params={
            "selector": {
                "repositoryName": "__repository__",
                "repositoryLocationName": "thumblab",
                "jobName": "refresh_imported",
            },
            "mode": "default",
        },
    )["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    run_id = launched["run"]["runId"]

    def ended() -> str | None:
        query = "query($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"
        status = graphql(healthy, query, id=run_id)["runOrError"]["status"]
        return str(status) if status in ("SUCCESS", "FAILURE", "CANCELED") else None

    status = healthy.waiting(ended, 900, "the run ends")
    assert status == "SUCCESS", healthy.log("code-server")

    explanation = metadata_of_run(healthy, run_id)
    until(lambda: score(healthy).status_code == 200, 120, f"the service scores: {score(healthy).text} {explanation}", 2)
    answer = score(healthy).json()
    assert [thumbnail["error"] for thumbnail in answer["thumbnails"]] == [None, None]
    assert explanation["served"].removeprefix("model/all/") in str(answer)
    # In the image, DAGSTER_HOME is read-only, so Dagster must write no file there. Dagster makes empty folders for its
    # telemetry even if telemetry is off. The test ignores these folders.
    home = healthy.machine.lab / "dagster-home"
    assert [path.name for path in home.rglob("*") if path.is_file()] == ["dagster.yaml"]
    assert PASSWORD not in "".join(healthy.log(name) for name in healthy.containers)


def metadata_of_run(graph: Graph, run_id: str) -> dict[str, str]:
    """Return the metadata of the run's result: which model was served, and why."""
    query = """query($id: ID!) { logsForRun(runId: $id, limit: 2000) { ... on EventConnection { events {
        ... on ExecutionStepOutputEvent { metadataEntries { label ... on TextMetadataEntry { text } } } } } } }"""
    events = graphql(graph, query, id=run_id)["logsForRun"]["events"]
    entries = [entry for event in events for entry in event.get("metadataEntries", [])]
    return {entry["label"]: entry.get("text", "") for entry in entries}


def graphql(graph: Graph, query: str, **variables: Any) -> Any:
    answer = httpx.post(
        f"{graph.url(3000)}/graphql", json={"query": query, "variables": variables}, timeout=120, trust_env=False
    )
    body = answer.json()
    assert "errors" not in body, body["errors"]
    return body["data"]
