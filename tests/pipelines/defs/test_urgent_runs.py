"""Tests of the order in which queued runs are executed.

The runs are executed by Dagster's own queue, with the lab's `dagster.yaml`, PostgreSQL and a real code server. The jobs
have the pools and the priorities of the lab's jobs. Each of their steps takes a short time.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import PythonFileTarget
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from dagster_graphql.test.utils import execute_dagster_graphql
from processes_of_labs import kill_processes

from thumblab_core.settings import CHECKOUT, settings
from thumblab_pipelines.defs.collection.crawl import crawl_corpus
from thumblab_pipelines.defs.collection.encode_crawl import encode_crawl
from thumblab_pipelines.defs.library.refresh import refresh_library
from thumblab_pipelines.defs.upkeep.jobs import observe_views

JOBS = """
import os, time
import dagster as dg

def job(name, pool, tags):
    @dg.op(name="work_of_" + name, pool=pool)
    def work(context) -> None:
        with open(os.environ["DAGSTER_HOME"] + "/steps", "a") as file:
            file.write(f"{context.run.tags['who']} begins\\n")
        time.sleep(0.5)
        while pool == "encoder" and name == "encode_crawl" and not os.path.exists(os.environ["DAGSTER_HOME"] + "/go"):
            time.sleep(0.05)
        with open(os.environ["DAGSTER_HOME"] + "/steps", "a") as file:
            file.write(f"{context.run.tags['who']} ends\\n")

    @dg.job(name=name, executor_def=dg.in_process_executor, tags=tags)
    def made() -> None:
        work()

    return made

defs = dg.Definitions(jobs=[job(*each) for each in GIVEN])
"""
pytestmark = pytest.mark.slow

UNFINISHED = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]
POOLS = {"crawl_corpus": "youtube", "encode_crawl": "encoder", "refresh_library": "encoder", "observe_views": "youtube"}


class Queue:
    """Dagster's queue of runs, and a function that launches a run as Dagster's webserver does."""

    def __init__(self, instance: dg.DagsterInstance, workspace: WorkspaceProcessContext, queue: Any) -> None:
        self.instance, self.workspace, self._queue = instance, workspace, queue
        self.home = Path(instance.root_directory)
        self.runs: list[str] = []

    def launch(self, job: str, who: str, tags: dict[str, str]) -> None:
        mutation = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
            __typename ... on PythonError { message } } }"""
        where = {"repositoryLocationName": "given", "repositoryName": "__repository__", "jobName": job}
        all_tags = [{"key": key, "value": value} for key, value in (tags | {"who": who}).items()]
        params = {"selector": where, "mode": "default", "executionMetadata": {"tags": all_tags}}
        answer = execute_dagster_graphql(self.workspace.create_request_context(), mutation, {"params": params}).data
        assert answer["launchRun"]["__typename"] == "LaunchRunSuccess", answer
        self.runs.append(who)

    def steps(self) -> list[str]:
        file = self.home / "steps"
        return file.read_text().splitlines() if file.exists() else []

    def end_code_server(self) -> None:
        """Kill the code server and the processes of all runs.

        These processes may still be waiting for the database, which is stopped when the tests end.
        """
        kill_processes(self.home)

    def run_until(self, condition: Callable[[list[str]], bool]) -> list[str]:
        """Start queued runs, as the daemon does each second, until `condition` accepts the steps that ran. Return these
        steps.
        """
        deadline = time.monotonic() + 120
        while not condition(self.steps()):
            assert time.monotonic() < deadline, self.steps()
            list(self._queue.run_iteration(self.workspace))
            time.sleep(0.2)
        return self.steps()


@pytest.fixture
def queue(new_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Queue]:
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path)
    given = [
        (job.name, POOLS[job.name], dict(job.tags or {}))
        for job in (crawl_corpus, encode_crawl, refresh_library, observe_views)
    ]
    (tmp_path / "given.py").write_text(f"GIVEN = {given!r}\n{JOBS}")
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", new_database())
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    settings.cache_clear()
    target = PythonFileTarget(str(tmp_path / "given.py"), None, str(tmp_path), "given")
    with (
        dg.DagsterInstance.get() as instance,
        WorkspaceProcessContext(instance, target) as workspace,
        QueuedRunCoordinatorDaemon(1) as daemon,
    ):
        queue = Queue(instance, workspace, daemon)
        yield queue
        # Let all runs end. Other tests use the same database of Dagster, and an unfinished run would take a place in
        # their queue.
        (tmp_path / "go").touch()
        queue.run_until(lambda _: not instance.get_runs(dg.RunsFilter(tags={"who": queue.runs}, statuses=UNFINISHED)))
        queue.end_code_server()


def test_the_refresh_and_the_observation_never_wait_for_more_than_one_turn_of_the_crawls_encoding(queue: Queue) -> None:
    for number, niche in enumerate(("tech", "gaming", "news")):
        queue.launch("encode_crawl", f"turn {number}", {"dagster/partition": niche})
    queue.run_until(lambda steps: "turn 0 begins" in steps)
    # Turn 0 is running, and the turns 1 and 2 wait in the queue. The runs of the observation and of the refresh start
    # immediately, although the turns were queued before them. The step of the refresh then waits for the encoder's
    # pool, which turn 0 uses.
    queue.launch("refresh_library", "refresh", {"dagster/partition": "beauty"})
    queue.launch("observe_views", "observation", {"dagster/partition": "people"})
    queue.run_until(lambda steps: "observation ends" in steps)
    assert "turn 0 ends" not in queue.steps()
    assert not any("turn 1" in step or "turn 2" in step for step in queue.steps())
    (queue.home / "go").touch()
    steps = queue.run_until(lambda steps: "turn 2 ends" in steps)
    assert steps.index("turn 0 ends") < steps.index("refresh begins") < steps.index("refresh ends")
    assert steps.index("refresh ends") < steps.index("turn 1 begins")


def test_at_most_one_run_of_the_background_takes_a_place_of_the_queue(queue: Queue) -> None:
    queue.launch("encode_crawl", "turn", {"dagster/partition": "tech"})
    queue.run_until(lambda steps: "turn begins" in steps)
    queue.launch("crawl_corpus", "crawl", {"dagster/partition": "gaming"})
    queue.launch("observe_views", "observation", {"dagster/partition": "people"})
    queue.run_until(lambda steps: "observation ends" in steps)
    assert "crawl begins" not in queue.steps()
    (queue.home / "go").touch()
    queue.run_until(lambda steps: "crawl ends" in steps)
