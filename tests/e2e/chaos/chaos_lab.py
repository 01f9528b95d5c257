"""A lab under `thumblab up` for chaos trials.

A trial can restore an earlier state of the lab, start a job, and check whether the lab has recovered.
"""

import base64
import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import psycopg
from chaos_state import bring_back, database, digests, keep_state
from chaos_victims import DAEMON, LabProcesses, described
from chaos_world import OTHER, REFRESHED, TwoNiches, youtube
from real_processes import REPOSITORY, RunningLab, free_ports, running, wait_until

from thumblab_core.releases.release import ReleaseError
from thumblab_core.releases.release_store import ReleaseStore

SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "THUMBLAB_IMAGE_ENCODER": "builtin",
    "THUMBLAB_YOUTUBE_API_KEY": "any key",
    # Collect the whole catalogue of the emulator, whatever the age of its videos.
    "THUMBLAB_VIDEOS_PER_NICHE": "500",
    "THUMBLAB_UPLOADS_PER_CHANNEL": "500",
    "THUMBLAB_CHANNELS_PER_REFRESH": "500",
    "THUMBLAB_SEARCH_DAYS": "36500",
    "THUMBLAB_LIBRARY_DAYS": "36500",
    "THUMBLAB_QUOTA_SEARCHES": "10000",
}

ENDED = ("SUCCESS", "FAILURE", "CANCELED")


@dataclass(frozen=True)
class Job:
    """A job that a trial starts, and the niche of this job."""

    name: str
    niche: str | None = None


REFRESH, TRAIN = Job("refresh_library", REFRESHED), Job("train_ranker")


@dataclass
class Undisturbed:
    """A job in which no process was killed: its duration in seconds, and the digests of the lab's state after the job.

    `before` is the folder with a copy of the state before the job, see `keep_state`.
    """

    seconds: float
    before: Path
    after: dict[str, str]


@dataclass
class ChaosLab:
    """A lab in which each job has run once without a kill. The state before a job can be restored."""

    lab: RunningLab
    processes: LabProcesses
    undisturbed: dict[Job, Undisturbed] = field(default_factory=dict)

    @property
    def data_dir(self) -> Path:
        return self.lab.data_dir

    def launch(self, job: Job) -> str:
        """Start a job as Dagster's UI does, and return the id of its run. Wait for the webserver if it is starting."""
        deadline = time.monotonic() + 180
        while True:
            try:
                return self._launch(job)
            # A request that found no server is sent again. Any other failed request may have started a run, so it is
            # not sent again.
            except httpx.ConnectError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def _launch(self, job: Job) -> str:
        tags = [{"key": "dagster/partition", "value": job.niche}] if job.niche else []
        launched = self.lab.graphql(
            """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
                __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
            params={
                "selector": {**REPOSITORY, "jobName": job.name},
                "runConfigData": {},
                "mode": "default",
                "executionMetadata": {"tags": tags},
            },
        )
        assert "run" in launched["launchRun"], launched["launchRun"]
        run_id: str = launched["launchRun"]["run"]["runId"]
        return run_id

    def set_back(self, job: Job) -> None:
        """Restore the state that the lab had before the job.

        Dagster's daemon is paused during the restoration, so that no sensor reads a half-restored state.
        """
        server = self.processes.server(DAEMON)
        daemons = [*server, *(child for one in server for child in one.children(recursive=True))]
        try:
            for process in daemons:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGSTOP)
            bring_back(self.data_dir, self.undisturbed[job].before)
        finally:
            for process in daemons:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGCONT)

    def runs(self, root: str) -> list[tuple[str, str]]:
        """Read from the database the ids and statuses of a run and its retries, in their order."""
        with database(self.data_dir, "dagster") as connection:
            found = connection.execute(
                """SELECT run_id, status FROM runs WHERE run_id = %s OR run_id IN (
                       SELECT run_id FROM run_tags WHERE key = 'dagster/root_run_id' AND value = %s) ORDER BY id""",
                [root, root],
            )
            return [(row[0], row[1]) for row in found]

    def others_running(self) -> list[str]:
        """Return the runs that have not ended."""
        with database(self.data_dir, "dagster") as connection:
            found = connection.execute("SELECT run_id FROM runs WHERE NOT (status = ANY(%s))", [list(ENDED)])
            return [row[0] for row in found]

    def will_retry(self, run_id: str) -> bool:
        """Return whether Dagster has decided to retry a failed run."""
        with database(self.data_dir, "dagster") as connection:
            found = connection.execute(
                """SELECT key, value FROM run_tags WHERE run_id = %s
                   AND key IN ('dagster/will_retry', 'dagster/did_retry', 'dagster/auto_retry_run_id')""",
                [run_id],
            )
            tags = {row[0]: row[1] for row in found}
        return tags.get("dagster/will_retry") == "true"

    def answering(self) -> list[str]:
        """Return the names of the servers that answer."""
        return [name for name, path in _PATHS.items() if _answers(f"{self.lab.up.url(name)}{path}")]

    def is_calm(self) -> bool:
        """Return whether every server answers, the daemon runs, jobs can be started, and no run is going on."""
        try:
            return (
                len(self.answering()) == len(_PATHS)
                and bool(self.processes.server(DAEMON))
                and self.has_jobs()
                and not self.others_running()
            )
        except psycopg.Error:
            return False

    def has_jobs(self) -> bool:
        """Return whether Dagster's webserver has loaded the lab's jobs from the code server."""
        selector = {**REPOSITORY, "pipelineName": TRAIN.name}
        query = "query($of: PipelineSelector!) { pipelineOrError(params: $of) { __typename } }"
        try:
            return bool(self.lab.graphql(query, of=selector)["pipelineOrError"]["__typename"] == "Pipeline")
        except (httpx.HTTPError, ValueError):
            return False

    def damage(self) -> list[str]:
        """Return a sentence for each kind of damage that a trial has left behind, such as a lock or a temporary file."""
        found = [f"an orphan process: {described(process)}" for process in self.processes.orphans()]
        found += [f"a process still executes a run: {described(process)}" for process in self.processes.workers()]
        locks = [path.name for path in (self.data_dir / "dagster" / "executing").glob("*.lock")]
        found += [f"a run lock is left: {name}" for name in locks]
        with database(self.data_dir, "dagster") as connection:
            for row in connection.execute(
                "SELECT concurrency_key, run_id FROM concurrency_slots WHERE run_id IS NOT NULL"
            ):
                found.append(f"a place in the pool {row[0]} is held by {row[1]}")
            for row in connection.execute("SELECT concurrency_key, run_id FROM pending_steps"):
                found.append(f"a step waits for the pool {row[0]}: {row[1]}")
            held = connection.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()
            assert held is not None
            if held[0]:
                found.append(f"{held[0]} advisory locks are held")
        store = ReleaseStore(self.data_dir / "releases")
        for folder in sorted(store.root.glob("*/*")):
            for release in store.all(folder.parent.name, folder.name):
                try:
                    release.verify()
                except ReleaseError as error:
                    found.append(str(error))
        return found

    def differences(self, job: Job) -> list[str]:
        """Return the names of the tables, files and releases that differ from those that the job makes without a kill."""
        wanted, have = self.undisturbed[job].after, digests(self.data_dir)
        return sorted(name for name in {*wanted, *have} if wanted.get(name) != have.get(name))


_PATHS = {"dagster": "/server_info", "mlflow": "/health", "scoring": "/health"}


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=10, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@dataclass
class Asked:
    """A client that scores two pictures every second.

    `failures` has the time in seconds and the reason of each failure.
    """

    answers: int = 0
    slowest: float = 0.0
    failures: list[tuple[float, str]] = field(default_factory=list)


@contextmanager
def asking(lab: RunningLab, pictures: list[bytes], every: float = 1.0) -> Iterator[Asked]:
    """Send a scoring request every second until the `with` block ends."""
    asked, over = Asked(), threading.Event()
    body = {
        "title": "I tested every phone under $200",
        "category": REFRESHED,
        "thumbnails": [
            {"id": str(number), "image_base64": base64.b64encode(picture).decode()}
            for number, picture in enumerate(pictures)
        ],
    }

    def ask() -> None:
        while not over.wait(every):
            started = time.monotonic()
            try:
                answer = httpx.post(
                    f"{lab.up.url('scoring')}/v1/score",
                    json=body,
                    headers={"X-API-Key": lab.key},
                    timeout=60,
                    trust_env=False,
                )
                reason = "" if answer.status_code == 200 else f"{answer.status_code}: {answer.text[:300]}"
            except httpx.HTTPError as error:
                reason = f"{type(error).__name__}: {error}"
            asked.slowest = max(asked.slowest, time.monotonic() - started)
            if reason:
                asked.failures.append((started, reason))
            else:
                asked.answers += 1

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        over.set()
        thread.join(70)


@contextmanager
def chaos_lab(folder: Path, **environment: str) -> Iterator[ChaosLab]:
    """Yield a lab whose library and model are from day 1, while the emulated YouTube is at day 2.

    Both jobs, a refresh and a training, have run once at day 2 without a kill. The lab and the copies of its states are
    in `folder`. If `folder` contains the lab and the copies of an earlier call, this call uses this lab and these
    copies. `environment` has more variables for `thumblab up`.
    """
    catalogue = TwoNiches()
    data_dir, copies, kept_port = folder / "lab", folder / "copies", folder / "port"
    port = int(kept_port.read_text()) if kept_port.exists() else free_ports(1)[0]
    kept_port.write_text(str(port))
    youtube_at = {"THUMBLAB_YOUTUBE_ENDPOINT": f"http://127.0.0.1:{port}/"}
    with running(data_dir, **youtube_at, **SETTINGS, **environment) as up:
        chaos = ChaosLab(RunningLab(up, data_dir), LabProcesses(data_dir, up.process.pid))
        stop_schedules(chaos.lab)
        seconds_file = copies / "seconds.json"
        states = [copies / name for name in ("day_1", "refreshed", "trained")]
        jobs = (REFRESH, TRAIN)
        if not seconds_file.exists():
            with youtube(catalogue, 1, port):
                for job in (REFRESH, Job("refresh_library", OTHER), TRAIN):
                    undisturbed(chaos, job)
            keep_state(data_dir, states[0])
        with youtube(catalogue, 2, port):
            if not seconds_file.exists():
                measured = []
                for job, after in zip(jobs, states[1:], strict=True):
                    measured.append(undisturbed(chaos, job))
                    keep_state(data_dir, after)
                seconds_file.write_text(json.dumps(measured))
            measured = json.loads(seconds_file.read_text())
            for job, seconds, before, after in zip(jobs, measured, states[:-1], states[1:], strict=True):
                chaos.undisturbed[job] = Undisturbed(seconds, before, digests(data_dir, after))
            yield chaos


def undisturbed(chaos: ChaosLab, job: Job) -> float:
    """Run the job, and return how many seconds the job took."""
    started = time.monotonic()
    chaos.lab.wait_for_runs([chaos.launch(job)], 900)
    seconds = time.monotonic() - started
    wait_until(chaos.is_calm, 420, "the lab is calm", 0.5)
    return seconds


def stop_schedules(lab: RunningLab) -> None:
    """Stop all schedules, so that only the trials start runs."""
    query = """query($of: RepositorySelector!) { schedulesOrError(repositorySelector: $of) { ... on Schedules {
        results { id scheduleState { status } } } } }"""
    time.sleep(10)  # A schedule that is stopped in the daemon's first seconds may start again.
    for schedule in lab.graphql(query, of=REPOSITORY)["schedulesOrError"]["results"]:
        if schedule["scheduleState"]["status"] != "STOPPED":
            lab.graphql("mutation($id: String!) { stopRunningSchedule(id: $id) { __typename } }", id=schedule["id"])
