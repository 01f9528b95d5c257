"""Test `thumblab demo` after crashes.

The tests kill three runs of the command with SIGKILL, each at a different stage. The next run must finish the work.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from real_processes import (
    VIDEOS,
    alive,
    command,
    database_running,
    environment,
    family,
    new_folder,
    wait_until,
)

from thumblab_core.images import digest
from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.releases.release import ALL, INDEX, MODEL, PAIRS, ReleaseError
from thumblab_core.releases.release_store import ReleaseStore

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]

PER_NICHE = VIDEOS // len(DEFAULT_NAMES)
TABLES = ("videos", "video_stats", "channels", "thumbnails", "embeddings", "visual_features", "model_evaluations")

LOOK = """
    import json
    from sqlalchemy import create_engine, text
    from thumblab_core.database.urls import database_url, named_database_url

    def ask(url, statement):
        with create_engine(url).connect() as connection:
            return [list(row) for row in connection.execute(text(statement))]

    lab, dagster, mlflow = database_url(), named_database_url("dagster"), named_database_url("mlflow")
    existing = {row[0] for row in ask(lab, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    kept = ask(mlflow, "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename = 'model_versions'")
    print(json.dumps({
        "rows": {t: ask(lab, f"SELECT count(*) FROM {t}")[0][0] for t in TABLES if t in existing},
        "pictures": [row[0] for row in ask(lab, "SELECT sha256 FROM thumbnails WHERE sha256 IS NOT NULL")],
        "dagster": ask(dagster, "SELECT run_id, status FROM runs ORDER BY id"),
        "open_steps": ask(dagster, '''
            SELECT run_id, step_key FROM event_logs WHERE dagster_event_type IN ('STEP_START', 'STEP_SUCCESS')
            GROUP BY run_id, step_key HAVING count(DISTINCT dagster_event_type) = 1'''),
        "mlflow": ask(mlflow, '''
            SELECT r.status, t.value, (SELECT count(*) FROM model_versions v WHERE v.run_id = r.run_uuid)
            FROM runs r LEFT JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = 'thumblab.release_id' ''') if kept else [],
        "aliases": ask(mlflow, "SELECT alias, version FROM registered_model_aliases") if kept else [],
    }))
"""


def look(data_dir: Path) -> dict[str, Any]:
    """Return facts about the databases, such as the number of rows of each table. The tests check these facts.

    A separate process reads the databases. The process starts the database server if necessary.
    """
    script = f"TABLES = {TABLES!r}\n{textwrap.dedent(LOOK)}"
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(data_dir), capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr
    contents: dict[str, Any] = json.loads(done.stdout)
    return contents


class Outside:
    """An observer that reads a running demo's files and database.

    The observer may read many times a second without disturbing the demo.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._connections: dict[str, psycopg.Connection] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._connections.values():
            connection.close()

    def count(self, statement: str, database: str = "thumblab") -> int:
        """Return the number that the statement selects, or -1 if the database does not answer."""
        from thumblab_core.embedded_postgres import cluster, location

        try:
            if database not in self._connections:
                home = location.find_home(self.data_dir)
                if home is None:
                    return -1
                self._connections[database] = psycopg.connect(
                    host=str(cluster.socket_dir(home)), user="postgres", dbname=database, autocommit=True
                )
            row = self._connections[database].execute(statement).fetchone()  # type: ignore[arg-type]
        except psycopg.Error:
            if database in self._connections and self._connections[database].closed:
                del self._connections[database]  # The server has stopped since this connection was made.
            return -1
        return int(row[0]) if row else -1

    def rows(self) -> dict[str, int]:
        return {table: self.count(f"SELECT count(*) FROM {table}") for table in TABLES}

    def pictures(self) -> int:
        return len(pictures(self.data_dir))


def pictures(data_dir: Path) -> list[Path]:
    """Return the complete files of the image store.

    While a file is being written, its name begins with a dot.
    """
    paths = []
    # `os.scandir` is many times faster than a glob.
    with suppress(FileNotFoundError), os.scandir(data_dir / "images") as folders:
        for folder in folders:
            with os.scandir(folder) as files:
                paths += [Path(file.path) for file in files if not file.name.startswith(".")]
    return paths


def downloading(demo: Outside) -> bool:
    """Return whether one niche is complete, and another niche has pictures whose rows are not in the database yet."""
    # The pictures are counted before the rows, and both numbers only grow. If there are fewer rows than pictures, some
    # rows were therefore missing when the pictures were counted.
    stored = demo.pictures()
    return stored > PER_NICHE and PER_NICHE <= demo.count("SELECT count(*) FROM thumbnails") < stored


def encoding(demo: Outside) -> bool:
    """Return whether the database has vectors of titles, and more vectors of pictures than of titles."""
    return demo.count("SELECT max(n) - min(n) FROM (SELECT count(*) n FROM embeddings GROUP BY encoder) each") > 0


def logging(demo: Outside) -> bool:
    """Return whether the model is being logged to MLflow. During the logging, the model's release is already published."""
    return demo.count("SELECT count(*) FROM runs WHERE status = 'RUNNING'", "mlflow") == 1


STAGES: dict[str, tuple[Callable[[Outside], bool], str]] = {
    "downloading": (downloading, "thumbnails"),
    "encoding": (encoding, "embeddings"),
    "logging": (logging, "ranking_model"),
}
"""For each stage: the condition under which the test kills the demo, and the asset that the kill leaves unfinished."""


@dataclass
class Kill:
    """The state of the demo's lab just before the demo was killed, and afterwards."""

    before: dict[str, int]
    after: dict[str, Any] = field(default_factory=dict)
    bad_pointers: list[str] = field(default_factory=list)
    served: int = 0


@dataclass
class Story:
    """What the test saw at the three kills, and in the first and the second run of `thumblab demo` after the kills."""

    data_dir: Path
    kills: dict[str, Kill] = field(default_factory=dict)
    final: "subprocess.CompletedProcess[str] | None" = None
    again: "subprocess.CompletedProcess[str] | None" = None
    after: dict[str, Any] = field(default_factory=dict)
    after_again: dict[str, Any] = field(default_factory=dict)


def bad_pointers(store: ReleaseStore) -> tuple[int, list[str]]:
    """Return the number of pointers in the store, and an error for each pointer that names no valid release.

    A pointer is a file `CURRENT`, which names the release that is served.
    """
    pointers = sorted(store.root.glob("*/*/CURRENT"))
    bad = []
    for pointer in pointers:
        try:
            release = store.serving.current(pointer.parents[1].name, pointer.parent.name)
            assert release is not None
            release.verify()
        except ReleaseError as error:
            bad.append(str(error))
    return len(pointers), bad


def stands(process: "subprocess.Popen[str]", when: Callable[[Outside], bool], demo: Outside) -> bool:
    """Pause the process, and return whether the condition `when` is still true.

    On a busy machine, the demo may leave the stage before it is paused. In this case, let the process continue.
    """
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.1)  # During this time, the servers finish the requests that the process has sent.
    if when(demo):
        return True
    process.send_signal(signal.SIGCONT)
    return False


def kill_when(folder: Path, stage: str, when: Callable[[Outside], bool]) -> Kill:
    data_dir = folder / "demo"
    with ExitStack() as stack:
        output = stack.enter_context((folder / "output").open("a"))
        process = subprocess.Popen(
            command("demo"),
            env=environment(folder),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        stack.callback(process.wait)
        stack.callback(process.kill)
        demo = stack.enter_context(Outside(data_dir))
        deadline = time.monotonic() + 300
        while not (when(demo) and stands(process, when, demo)):
            assert process.poll() is None, f"the demo ended before {stage}: {(folder / 'output').read_text()[-2000:]}"
            assert time.monotonic() < deadline, (
                f"the demo did not reach the stage {stage}: {(folder / 'output').read_text()[-2000:]}"
            )
            time.sleep(0.001)
        below = family(process)
        process.kill()
        process.wait()
        before = demo.rows()
    kill = Kill(before)
    wait_until(lambda: not alive(below), 60, f"the servers of the killed demo end: {below}", every=0.2)
    wait_until(lambda: not database_running(data_dir), 60, "the database stops", every=0.2)
    kill.served, kill.bad_pointers = bad_pointers(ReleaseStore(data_dir / "releases"))
    kill.after = look(data_dir)
    return kill


@pytest.fixture(scope="module")
def story() -> Iterator[Story]:
    with new_folder() as folder:
        record = Story(folder / "demo")
        for name, (when, _) in STAGES.items():
            record.kills[name] = kill_when(folder, name, when)
        options: dict[str, Any] = {"env": environment(folder), "capture_output": True, "text": True, "timeout": 400}
        record.final = subprocess.run(command("demo"), **options)
        record.after = look(record.data_dir)
        record.again = subprocess.run(command("demo"), **options)
        record.after_again = look(record.data_dir)
        yield record


@pytest.mark.parametrize("stage", STAGES)
def test_the_kill_came_in_the_middle_of_its_stage(story: Story, stage: str) -> None:
    run_id, status = story.kills[stage].after["dagster"][-1]
    assert status == "STARTED"
    assert [step for run, step in story.kills[stage].after["open_steps"] if run == run_id] == [STAGES[stage][1]]


@pytest.mark.parametrize("stage", STAGES)
def test_committed_rows_survive_the_kill(story: Story, stage: str) -> None:
    kill = story.kills[stage]
    assert kill.before["videos"] > 0
    lost = {table: count for table, count in kill.before.items() if kill.after["rows"].get(table, -1) < count}
    assert lost == {}


def test_no_kill_ever_makes_the_library_smaller(story: Story) -> None:
    history = [kill.after["rows"] for kill in story.kills.values()] + [story.after["rows"], story.after_again["rows"]]
    for earlier, later in itertools.pairwise(history):
        assert all(later[table] >= count for table, count in earlier.items())


@pytest.mark.parametrize("stage", STAGES)
def test_the_served_releases_are_valid_after_the_kill(story: Story, stage: str) -> None:
    kill = story.kills[stage]
    assert kill.bad_pointers == []
    if stage in ("downloading", "encoding"):
        assert 1 <= kill.served < len(DEFAULT_NAMES)
    else:  # At the stage "logging", every niche has a served index, and no model is served yet.
        assert kill.served == len(DEFAULT_NAMES)


def test_the_same_command_then_succeeds_and_fetches_nothing_twice(story: Story) -> None:
    assert story.final is not None
    assert story.final.returncode == 0, story.final.stdout + story.final.stderr
    # Every niche was complete at the third kill, so the next run prints 0 in the columns new, fetched, encoded and
    # measured.
    rows = {words[0]: words[2:6] for words in map(str.split, story.final.stdout.splitlines()) if words[:1]}
    assert {niche: rows[niche] for niche in DEFAULT_NAMES} == {niche: ["0"] * 4 for niche in DEFAULT_NAMES}


def test_every_video_is_there_once_with_one_picture_and_its_vectors(story: Story) -> None:
    rows = story.after["rows"]
    assert (rows["videos"], rows["video_stats"], rows["thumbnails"], rows["visual_features"]) == (VIDEOS,) * 4
    assert (rows["embeddings"], rows["channels"]) == (2 * VIDEOS, len(DEFAULT_NAMES))
    stored = pictures(story.data_dir)
    assert sorted(path.parent.name + path.name for path in stored) == sorted(set(story.after["pictures"]))
    assert all(digest(path.read_bytes()) == path.parent.name + path.name for path in stored)


def test_every_index_and_map_and_the_model_are_the_only_release_that_was_made(story: Story) -> None:
    store = ReleaseStore(story.data_dir / "releases")
    served = [(kind, niche) for kind in (INDEX, LIBRARY_MAP) for niche in DEFAULT_NAMES]
    served += [(LIBRARY_MAP, ALL), (MODEL, ALL)]
    assert bad_pointers(store) == (len(served), [])
    for kind, scope in served:
        assert [release.release_id for release in store.all(kind, scope)] == [store.serving.current_id(kind, scope)]
    assert len(store.all(PAIRS, ALL)) == 1
    assert list(store.root.rglob(".staging-*")) == []


def test_mlflow_has_one_finished_run_and_one_version_of_the_model(story: Story) -> None:
    release = ReleaseStore(story.data_dir / "releases").serving.current_id(MODEL, ALL)
    assert story.kills["logging"].after["mlflow"] == [["RUNNING", release, 0]]
    assert sorted(story.after["mlflow"]) == [["FAILED", release, 0], ["FINISHED", release, 1]]
    assert sorted(story.after["aliases"]) == [["challenger", 1], ["champion", 1]]


def test_dagster_shows_the_killed_runs_as_failed_and_no_run_as_running(story: Story) -> None:
    killed = {kill.after["dagster"][-1][0] for kill in story.kills.values()}
    assert len(killed) == len(STAGES)
    statuses = dict(story.after["dagster"])
    assert {statuses[run_id] for run_id in killed} == {"FAILURE"}
    assert set(Counter(statuses.values())) == {"FAILURE", "SUCCESS"}
    assert Counter(statuses.values())["FAILURE"] == len(STAGES)


def test_one_more_run_finds_nothing_new(story: Story) -> None:
    assert story.again is not None
    assert story.again.returncode == 0, story.again.stdout + story.again.stderr
    assert "Nothing was new: 0 downloaded, 0 encoded, 0 measured, 0 trained, 0 mapped" in story.again.stdout
    unchanged = ("rows", "pictures", "mlflow", "aliases")
    assert {name: story.after_again[name] for name in unchanged} == {name: story.after[name] for name in unchanged}
