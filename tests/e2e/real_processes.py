"""Start the lab's commands as processes, and let a test check what these processes do."""

import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import psutil

VIDEOS = 245
"""The number of videos in the demo's catalogue. Each niche has one channel with 35 videos.

This is the smallest catalogue with the 100 held-out pairs that a promotion needs.
"""

REPOSITORY = {"repositoryName": "__repository__", "repositoryLocationName": "thumblab"}


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    """Return the environment variables for a command of the lab. The variables contain none of the user's settings.

    The variables name a proxy at a closed port, so that the command can reach only this machine. `more` adds variables.
    """
    own = ("THUMBLAB_", "MLFLOW_", "DAGSTER_", "FAISS_INDEX_PATH", "YOUTUBE_API_KEY", "FACE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    nowhere = "http://127.0.0.1:9"
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), nowhere)
    local = dict.fromkeys(("no_proxy", "NO_PROXY"), "127.0.0.1,localhost")
    lab = {"THUMBLAB_DATA_DIR": str(data_dir), "THUMBLAB_DATABASE_URL": "", "THUMBLAB_DEMO_VIDEOS": str(VIDEOS)}
    return {**kept, **proxies, **local, "PYTHONUNBUFFERED": "1", **lab, **more}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "thumblab_cli.main", *arguments]


def thumblab(data_dir: Path, *arguments: str, timeout: float = 120, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a `thumblab` command and wait for its end."""
    return subprocess.run(
        command(*arguments), env=environment(data_dir, **more), capture_output=True, text=True, timeout=timeout
    )


def free_ports(count: int) -> list[int]:
    """Return `count` ports on which nothing listens.

    The ports are outside the range that the kernel uses for outgoing connections. The ports therefore stay free during
    the seconds until a server binds them.
    """
    import socket

    probes: list[socket.socket] = []
    try:
        while len(probes) < count:
            probe = socket.socket()
            try:
                probe.bind(("127.0.0.1", random.randrange(12_000, 32_000)))
            except OSError:
                probe.close()
            else:
                probes.append(probe)
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def listens(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(true: Callable[[], object], seconds: float, what: str, every: float = 0.1) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"after {seconds:.0f} s, this has not happened: {what}"
        time.sleep(every)


def family(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return the process and all its descendants."""
    try:
        parent = psutil.Process(process.pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Return the processes that still run.

    `psutil` detects whether a new process has got the id of a process that has ended.
    """
    running_processes = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                running_processes.append(process)
    return running_processes


def database_running(data_dir: Path) -> bool:
    """Return whether an embedded server runs in the folder.

    This call does not start the server, and does not make this process a user of the server.
    """
    from thumblab_core.embedded_postgres import location, watcher

    home = location.find_home(data_dir)
    return home is not None and bool(watcher.processes(home))


def url_from_outside(data_dir: Path, database: str) -> str:
    """Return the URL of a database of the embedded server that runs in the folder.

    Unlike `named_database_url`, this function does not make this process a user of the server. A user would keep the
    server running until the tests end.
    """
    from thumblab_core.embedded_postgres import cluster, location

    home = location.find_home(data_dir)
    assert home is not None
    return f"postgresql://postgres@/{database}?host={cluster.socket_dir(home)}"


@contextmanager
def new_folder() -> Iterator[Path]:
    """Yield a data folder. Afterwards, kill every database server that runs in the folder, and remove the folder."""
    # If root runs the tests, the embedded server runs as another user. This user cannot enter the folders that pytest
    # makes, so this function makes its own folder.
    folder = Path(tempfile.mkdtemp(prefix="thumblab-e2e-")).resolve()
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        for place in [*folder.glob("postgres"), *folder.glob("*/postgres"), *folder.glob("*/*/postgres")]:
            _remove_server(place)
        shutil.rmtree(folder)


def _remove_server(place: Path) -> None:
    from thumblab_core.embedded_postgres import watcher

    home = place.resolve()
    with watcher.locked(home, "start.lock"):
        # The watcher is a process that stops the database server when no process uses the server any more. The watcher
        # is killed first. If the watcher ended by itself, it would create its lock files again in a folder that is
        # being removed.
        watchers = [p for p in psutil.process_iter(["cmdline"]) if str(home) in (p.info["cmdline"] or ())]
        # The database server is killed too. An orderly stop would first write data to the disk, and this function
        # deletes the data anyway.
        for process in (*watchers, *watcher.processes(home)):
            with suppress(psutil.NoSuchProcess):
                process.kill()
        wait_until(lambda: not alive(watchers), 10, f"the watcher of {home} ends", every=0.02)
        watcher.stop(home)
    if place.is_symlink():
        shutil.rmtree(home)
    for link in Path("/tmp").glob(f"{watcher.folder_tag(home)}-*"):
        link.unlink()


@dataclass
class Up:
    """A running `thumblab up`."""

    process: subprocess.Popen[str]
    ports: dict[str, int]
    output: list[str] = field(default_factory=list)

    def url(self, server: str) -> str:
        return f"http://127.0.0.1:{self.ports[server]}"

    def printed(self, start: str) -> str:
        """Return the rest of the output line that begins with `start`."""
        return next(line for line in self.output if line.startswith(start)).removeprefix(start).strip()


@contextmanager
def running(data_dir: Path, *arguments: str, **more: str) -> Iterator[Up]:
    """Run `thumblab up` on free ports.

    Yield the running `up` when all servers answer, and end it after the `with` block.
    """
    names = ("dagster", "mlflow", "scoring")
    ports = dict(zip(names, free_ports(3), strict=True))
    options = ["--dagster-port", str(ports["dagster"]), "--mlflow-port", str(ports["mlflow"])]
    process = subprocess.Popen(
        command("up", *options, *arguments),
        env=environment(data_dir, THUMBLAB_SERVING_PORT=str(ports["scoring"]), **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    up = Up(process, ports)
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    started: list[psutil.Process] = []
    try:
        deadline = time.monotonic() + 420  # Other tests may take most of the processor.
        while not any(line.startswith("Ctrl-C") for line in up.output):
            line = lines.get(timeout=max(0.1, deadline - time.monotonic()))
            assert line is not None, f"thumblab up ended with {process.wait()}: {''.join(up.output)}"
            up.output.append(line)
        started = family(process)
        yield up
    finally:
        started += family(process)
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(90)
        for process_left in alive(started):
            with suppress(psutil.NoSuchProcess):
                process_left.kill()
        process.wait()


def _read(process: subprocess.Popen[str], lines: "queue.Queue[str | None]") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put(None)


@dataclass
class RunningLab:
    """The lab of the test session, with its servers and its data folder."""

    up: Up
    data_dir: Path

    @cached_property
    def key(self) -> str:
        return self.up.printed("Score thumbnails").partition("#key=")[2]

    def graphql(self, query: str, **variables: Any) -> Any:
        answer = httpx.post(
            f"{self.up.url('dagster')}/graphql",
            json={"query": query, "variables": variables},
            timeout=60,
            trust_env=False,
        )
        body = answer.json()
        assert "errors" not in body, body["errors"]
        return body["data"]

    def score(self, niche: str, pictures: dict[str, bytes]) -> httpx.Response:
        import base64

        thumbnails = [{"id": n, "image_base64": base64.b64encode(data).decode()} for n, data in pictures.items()]
        return httpx.post(
            f"{self.up.url('scoring')}/v1/score",
            json={"title": "I tested every phone under $200", "category": niche, "thumbnails": thumbnails},
            headers={"X-API-Key": self.key},
            timeout=600,
            trust_env=False,
        )

    def wait_for_runs(self, run_ids: list[str], seconds: float) -> None:
        """Wait until all runs have succeeded. If a run fails, fail at once with the errors of this run."""
        query = """query($filter: RunsFilter) {
            runsOrError(filter: $filter) { ... on Runs { results { runId status } } } }"""
        deadline = time.monotonic() + seconds
        while True:
            runs = self.graphql(query, filter={"runIds": run_ids})["runsOrError"]["results"]
            failed = [run for run in runs if run["status"] in ("FAILURE", "CANCELED")]
            assert not failed, "\n".join(self.failure(run["runId"]) for run in failed)
            if len(runs) == len(run_ids) and all(run["status"] == "SUCCESS" for run in runs):
                return
            assert time.monotonic() < deadline, f"not finished after {seconds:.0f} s: {[run['status'] for run in runs]}"
            time.sleep(0.5)

    def failure(self, run_id: str) -> str:
        query = """query($id: ID!) { logsForRun(runId: $id, limit: 1000) { ... on EventConnection { events {
            __typename ... on MessageEvent { message }
            ... on ExecutionStepFailureEvent { error { message cause { message } } } } } } }"""
        events = self.graphql(query, id=run_id)["logsForRun"]["events"]
        return f"{run_id}: " + "; ".join(str(e) for e in events if "Failure" in e["__typename"])


def niche_of(run: dict[str, Any]) -> str:
    """Return the niche in the tags of a run. `run` has the form of a run in Dagster's GraphQL API."""
    return next(str(tag["value"]) for tag in run["tags"] if tag["key"] == "dagster/partition")


def write_catalogue(folder: Path, videos: int) -> list[dict[str, object]]:
    """Write `videos.csv` and the pictures of a synthetic catalogue to the folder. Return the rows of `videos.csv`."""
    from demo.catalogues.synthetic import synthetic_catalogue

    catalogue = synthetic_catalogue(videos)
    (folder / "images").mkdir(parents=True)
    rows: list[dict[str, object]] = []
    for video in catalogue.videos.values():
        image = f"images/{video.video_id}.jpg"
        (folder / image).write_bytes(catalogue.image(video.video_id))
        rows.append(
            {
                "video_id": video.video_id,
                "niche": video.niche,
                "channel": video.channel_title,
                "title": video.title,
                "views": video.views,
                "published_on": video.published_at.isoformat(),
                "observed_at": catalogue.observed_at.isoformat(),
                "duration_s": video.duration_s,
                "tags": ",".join(video.tags),
                "image": image,
            }
        )
    write_rows(folder, rows)
    return rows


def write_rows(folder: Path, rows: list[dict[str, object]]) -> None:
    """Write `videos.csv` of a catalogue to the folder."""
    import csv

    with (folder / "videos.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
