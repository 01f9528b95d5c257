"""Test when the embedded PostgreSQL server starts, recovers and stops. The tests start and kill real processes.

A user is a process that uses the server. The watcher is the process that stops the server when its last user has
ended.
"""

import fcntl
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from server_processes import KEEP, USE, finish, home_of, postmaster, python, running, soon, sql, user, watchers

from thumblab_cli.doctor import database as doctor
from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Level
from thumblab_cli.doctor.machine import Machine
from thumblab_core.database.urls import named_database_url, status
from thumblab_core.embedded_postgres import cluster, location, owner, server, watcher
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings


@pytest.mark.slow
@pytest.mark.parametrize("count", [4, pytest.param(10, marks=pytest.mark.heavy)])
def test_processes_that_start_at_once_on_a_fresh_folder_share_one_server_which_ends_with_them(
    fresh_dir: Path, count: int
) -> None:
    processes = [python(fresh_dir, USE) for _ in range(count)]
    assert len({finish(process) for process in processes}) == 1
    assert soon(lambda: not running(fresh_dir))


def test_a_short_command_leaves_its_data_and_no_process_behind(data_dir: Path) -> None:
    with user(data_dir):
        sql(data_dir, "CREATE TABLE left_behind AS SELECT 7 AS n")
    assert soon(lambda: not running(data_dir) and not watchers(data_dir))
    with user(data_dir):
        assert sql(data_dir, "SELECT n FROM left_behind") == 7
        assert sql(data_dir, "SELECT '[3,4]'::vector <-> '[0,0]'::vector") == 5.0, "pgvector is missing"


@pytest.mark.slow
def test_the_server_outlives_each_user_but_the_last(data_dir: Path) -> None:
    with user(data_dir) as last:
        with user(data_dir):
            before = postmaster(data_dir).pid
        time.sleep(0.3)
        assert postmaster(data_dir).pid == before
        last.kill()
        assert soon(lambda: not running(data_dir)), "the server still runs after its last user was killed"


def test_a_user_that_starts_just_before_the_server_stops_keeps_it_running(data_dir: Path) -> None:
    home = home_of(data_dir)
    with user(data_dir) as first:
        with owner.locked(home, "start.lock"):
            first.kill()
            first.wait()
            # During the `sleep`, the watcher detects that the last user has ended. The watcher then waits for the lock
            # start.lock, which this test has taken.
            time.sleep(0.3)
            second = owner.open_file(home, "users.lock")
            fcntl.flock(second, fcntl.LOCK_SH)
        time.sleep(0.5)
        assert running(data_dir)
        os.close(second)
        assert soon(lambda: not running(data_dir))


def test_a_forked_child_keeps_the_server_up_until_it_ends_even_without_clean_up(data_dir: Path) -> None:
    script = USE + "    import os\n    if os.fork() == 0:\n        input()\n        os._exit(0)\n"
    process = python(data_dir, script)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql")
    assert process.wait(10) == 0
    time.sleep(0.4)
    assert running(data_dir)
    process.communicate("\n")
    assert soon(lambda: not running(data_dir))


def test_after_kill_9_of_the_server_the_next_call_finds_everything_that_was_committed(data_dir: Path) -> None:
    with user(data_dir):
        sql(data_dir, "CREATE TABLE committed AS SELECT generate_series(1, 1000) AS n")
        postmaster(data_dir).kill()
        with user(data_dir):
            assert sql(data_dir, "SELECT count(*) FROM committed") == 1000


def test_a_process_whose_server_was_killed_can_start_it_again(data_dir: Path) -> None:
    asker = python(
        data_dir, USE + "    input()\n    assert database_url() == url\n    print('again', flush=True)\n    input()\n"
    )
    assert asker.stdout is not None
    assert asker.stdin is not None
    asker.stdout.readline()
    first = postmaster(data_dir)
    first.kill()
    assert soon(lambda: not cluster.reachable(home_of(data_dir)))
    asker.stdin.write("\n")
    asker.stdin.flush()
    assert asker.stdout.readline() == "again\n"
    assert postmaster(data_dir).pid != first.pid
    finish(asker, "\n")


WATCH = """
import json, sys
from thumblab_cli.servers import database_watch
from thumblab_core.settings import settings
database_watch.MOST_BYTES = 1
watch = database_watch.DatabaseWatch(settings(), pauses=(0, 300))
for _ in sys.stdin:
    reports = []
    watch.mend(reports.append)
    print(json.dumps(reports), flush=True)
"""


@pytest.mark.slow
def test_up_starts_a_killed_server_again_and_keeps_its_log_small(data_dir: Path) -> None:
    """In a separate process, watch the database server in the same way as `thumblab up`."""
    watch = python(data_dir, WATCH)

    def mend() -> list[str]:
        assert watch.stdin is not None
        assert watch.stdout is not None
        watch.stdin.write("\n")
        watch.stdin.flush()
        reports: list[str] = json.loads(watch.stdout.readline())
        return reports

    log = home_of(data_dir) / "log"
    with user(data_dir):
        sql(data_dir, "CREATE TABLE kept AS SELECT 7 AS n")
        assert mend() == []
        assert log.stat().st_size == 0
        first = postmaster(data_dir)
        first.kill()
        assert soon(lambda: not cluster.reachable(home_of(data_dir)))
        assert mend() == [
            f"the lab's database has ended; its log is {data_dir}/postgres/log. It is started again (restart 1).",
            "the lab's database is ready again",
        ]
        assert sql(data_dir, "SELECT n FROM kept") == 7
        assert postmaster(data_dir).pid != first.pid
        assert log.stat().st_size > 0, "the server must continue to write at the new end of its log"
        server.stop(Settings(_env_file=None, data_dir=data_dir), force=True)
        assert mend() == [], "the pause before the second start is not over"
    finish(watch)


def test_the_doctor_starts_no_server_and_waits_for_one_that_is_stopping(data_dir: Path) -> None:
    examined = Examined(Settings(_env_file=None, data_dir=data_dir), Machine.this())
    assert [finding.level for finding in doctor.database(examined)] == [Level.SKIPPED]
    assert not running(data_dir)
    with user(data_dir):
        (finding,) = doctor.database(examined)
        assert (finding.level, finding.mend) == (Level.WARNING, "thumblab db migrate")
        sql(data_dir, "CREATE TABLE IF NOT EXISTS large AS SELECT generate_series(1, 100000)")
    while running(data_dir):
        (finding,) = doctor.database(examined)
        assert finding.level is not Level.ERROR, f"{finding}: it is not a fault that an unused server stops"


def test_the_next_command_recovers_from_kill_9_of_server_watcher_and_user(data_dir: Path) -> None:
    with user(data_dir) as victim:
        for process in (*watchers(data_dir), *watcher.processes(home_of(data_dir))):
            process.kill()
        victim.kill()
        victim.wait()
    with user(data_dir):
        assert sql(data_dir, "SELECT 1") == 1
    assert soon(lambda: not running(data_dir))


def test_a_lock_file_with_the_id_of_another_process_is_ignored(data_dir: Path) -> None:
    home = home_of(data_dir)
    status = home.stat()
    as_owner = {"user": status.st_uid, "group": status.st_gid} if os.geteuid() == 0 else {}
    stranger = subprocess.Popen(["sleep", "60"], **as_owner)  # type: ignore[call-overload]
    try:
        stale = f"{stranger.pid}\n{home / 'data'}\n{int(time.time())}\n5432\n..\n\n  1 2\nready\n"
        for path in (home / "data" / "postmaster.pid", home / ".s.PGSQL.5432.lock"):
            path.write_text(stale)
            os.chown(path, status.st_uid, status.st_gid)
        with user(data_dir):
            assert sql(data_dir, "SELECT 1") == 1
        assert stranger.poll() is None, "a process was killed only because a lock file contained its id"
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.slow
def test_an_interrupted_first_start_is_started_over(fresh_dir: Path) -> None:
    starter = python(fresh_dir, USE, start_new_session=True)
    assert soon(lambda: location.find_home(fresh_dir) is not None and [*home_of(fresh_dir).glob("data.*.new")] != [])
    starter.kill()
    starter.communicate()
    with user(fresh_dir):
        assert sql(fresh_dir, "SELECT 1") == 1


@pytest.mark.slow
def test_db_start_keeps_the_server_until_db_stop(data_dir: Path) -> None:
    finish(python(data_dir, KEEP))
    with user(data_dir):
        pass
    time.sleep(0.5)
    settings = Settings(data_dir=data_dir)
    state = status(settings)
    assert (state.running, state.kept, state.in_use) == (True, True, False)
    assert server.stop(settings)
    assert not running(data_dir)
    assert not status(settings).running


@pytest.mark.slow
def test_db_stop_does_not_stop_a_server_in_use_unless_forced(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir)
    finish(python(data_dir, KEEP))
    with user(data_dir):
        assert not server.stop(settings)
        assert running(data_dir)
    assert soon(lambda: not running(data_dir)), "the server still runs after `db stop` and the end of its last user"
    with user(data_dir):
        assert server.stop(settings, force=True)
        assert not running(data_dir)


def test_ctrl_c_in_a_terminal_does_not_reach_the_server(data_dir: Path) -> None:
    with user(data_dir):
        sessions = {os.getsid(process.pid) for process in watcher.processes(home_of(data_dir))}
        first = python(data_dir, USE + "    input()\n", start_new_session=True)
        assert first.stdout is not None
        assert first.stdout.readline()
        os.killpg(first.pid, signal.SIGINT)
        first.communicate()
        time.sleep(0.3)
        assert running(data_dir)
        assert os.getsid(0) not in sessions


def test_another_named_database_is_created_once_on_the_same_server(data_dir: Path) -> None:
    script = "from thumblab_core.database.urls import named_database_url as url\nprint(url('mlflow', 'psycopg2'))"
    urls = {finish(process) for process in [python(data_dir, script) for _ in range(2)]}
    assert len(urls) == 1
    assert urls.pop().startswith("postgresql+psycopg2://postgres@/mlflow?host=/")
    with pytest.raises(LabError, match="not a valid database name"):
        named_database_url("x; DROP", settings=Settings(data_dir=data_dir))


def test_a_failed_start_reports_its_reason(data_dir: Path) -> None:
    version = home_of(data_dir) / "data" / "PG_VERSION"
    version.write_text("9\n")
    try:
        with pytest.raises(LabError, match=r"did not start: .*incompatible.* Its log is "):
            cluster._start(home_of(data_dir))
    finally:
        version.write_text("18\n")
