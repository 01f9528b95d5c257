"""Test a data folder on a disk that two machines share. The machines share neither processes nor locks.

The second machine is a set of namespaces with its own processes, host name, boot id and machine id. The tests remove
the lock files while a server runs. A new lock file has no lock, so the two machines do not see each other's locks.
"""

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import psycopg
import pytest
from server_processes import USE, home_of, postmaster, soon, sql, user, watchers

from thumblab_core import running
from thumblab_core.embedded_postgres import cluster, owner, watcher
from thumblab_core.errors import LabError
from thumblab_core.heartbeat import beat, beats
from thumblab_core.running import Running, announced, refuse_second

ELSEWHERE = owner.Host("elsewhere", "another machine id", "another boot", "pid:[4026531836]")
NAMESPACES = ["unshare", "--pid", "--uts", "--ipc", "--mount", "--fork", "--mount-proc", "--kill-child"]
LAB = Running("http://127.0.0.1:3000", "http://127.0.0.1:5000", "http://127.0.0.1:8000")
TAKE_OVER = """
import sys
from thumblab_core.embedded_postgres import owner, server
from thumblab_core.settings import settings
owner.SILENT_SECONDS = 4
print("from", server.take_over(settings()))
"""


class Machine:
    """A simulated second machine. Its name, boot id and machine id differ from those of the machine that runs the
    tests.
    """

    def __init__(self, folder: Path, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._ids = folder / "second-machine"
        self._ids.write_text("c0ffee00-0000-4000-8000-000000000002\n")

    def python(self, script: str) -> "subprocess.Popen[str]":
        mounts = " && ".join(
            f"mount --bind {self._ids} {path}"
            for path in ("/proc/sys/kernel/random/boot_id", "/etc/machine-id")
            if Path(path).exists()
        )
        return subprocess.Popen(
            [*NAMESPACES, "sh", "-c", f'hostname second && {mounts} && exec "$@"', "sh", sys.executable, "-c", script],
            env=os.environ | {"THUMBLAB_DATA_DIR": str(self._data_dir)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str) -> tuple[str, str]:
        return self.python(script).communicate(timeout=60)


@pytest.fixture
def second(tmp_path: Path, data_dir: Path) -> Iterator[Machine]:
    machine = Machine(tmp_path, data_dir)
    told, trouble = machine.run("import platform; print(platform.node())")
    if told != "second\n":
        pytest.skip(f"this user may not make namespaces with mounts: {trouble.strip()}")
    yield machine
    owner.remove_record(home_of(data_dir))


def without_shared_locks(data_dir: Path) -> None:
    """Delete the lock files of the server. A process that starts later makes new files, so it does not see the locks of
    the running processes.
    """
    for lock in home_of(data_dir).glob("*.lock"):
        lock.unlink()


@pytest.mark.slow
def test_a_second_machine_is_refused_by_name_while_the_first_machine_lives(data_dir: Path, second: Machine) -> None:
    with user(data_dir):
        home, before = home_of(data_dir), postmaster(data_dir).pid
        with psycopg.connect(host=str(cluster.socket_dir(home)), user="postgres", dbname="thumblab") as connection:
            connection.execute("CREATE TABLE acknowledged AS SELECT 1 AS n")
            connection.commit()
            without_shared_locks(data_dir)
            # A real second machine could not connect through this socket file, so the test moves the file away.
            (home / ".s.PGSQL.5432").rename(home / "aside")
            _, refused = second.run("from thumblab_core.database.urls import database_url; database_url()")
            assert f"in use by host {owner.this_host().name}" in refused
            assert "run here: thumblab db take-over" in refused
            _, refused = second.run(TAKE_OVER)
            assert f"still runs, on host {owner.this_host().name}" in refused
            (home / "aside").rename(home / ".s.PGSQL.5432")
            connection.execute("INSERT INTO acknowledged VALUES (2)")
        assert postmaster(data_dir).pid == before
        assert sql(data_dir, "SELECT count(*) FROM acknowledged") == 2


@pytest.mark.slow
def test_a_machine_that_was_paused_and_taken_over_kills_its_own_server_only(data_dir: Path, second: Machine) -> None:
    with user(data_dir):
        sql(data_dir, "CREATE TABLE paused AS SELECT 1 AS n")
        own = [*watcher.processes(home_of(data_dir)), *watchers(data_dir)]
        for process in own:
            process.suspend()
        try:
            without_shared_locks(data_dir)
            (home_of(data_dir) / ".s.PGSQL.5432").unlink()  # A second machine could not use this socket.
            holder = second.python(TAKE_OVER + textwrap.dedent(USE) + "input()\n")
            assert holder.stdout is not None
            assert holder.stdout.readline() == f"from host {owner.this_host().name}\n"
            url = holder.stdout.readline()
            assert url.startswith("postgresql"), holder.communicate(timeout=60)[1]
        finally:
            for process in own:
                with suppress(psutil.NoSuchProcess):
                    process.resume()
        assert soon(lambda: watcher.processes(home_of(data_dir)) == []), "the server of the paused machine still runs"
        time.sleep(1)
        assert sql(data_dir, "SELECT count(*) FROM paused") == 1, "the server of the second machine does not answer"
        with pytest.raises(LabError, match="in use by host second"):
            cluster.use(home_of(data_dir))
        holder.communicate("\n", timeout=60)  # The processes of the second machine end with this process.
    assert soon(lambda: watchers(data_dir) == [])
    owner.remove_record(home_of(data_dir))
    with user(data_dir):
        assert sql(data_dir, "SELECT count(*) FROM paused") == 1


def test_a_heartbeat_is_a_change_and_no_time(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    assert not beats(path, 0.3)
    beat(path)
    os.utime(path, (0, 0))
    assert not beats(path, 0.3), "a file that does not change counts as a sign of life"

    def beat_with_the_same_time() -> None:
        beat(path)
        os.utime(path, (0, 0))

    thread = threading.Timer(0.3, beat_with_the_same_time)
    thread.start()
    assert beats(path, 10), "a change without a newer time does not count as a sign of life"
    thread.join()


def test_only_the_host_of_the_record_beats_and_another_host_is_told_to_end_its_server(tmp_path: Path) -> None:
    assert owner.show_life(tmp_path)
    assert not (tmp_path / "heartbeat").exists(), "a host without a server shows no life"
    owner.claim(tmp_path)
    assert owner.show_life(tmp_path)
    own = (tmp_path / "heartbeat").read_bytes()
    (tmp_path / "host.json").write_text(json.dumps(asdict(ELSEWHERE)))
    assert not owner.show_life(tmp_path)
    assert (tmp_path / "heartbeat").read_bytes() == own


def test_a_take_over_removes_no_record_of_a_third_host(tmp_path: Path) -> None:
    third = replace(ELSEWHERE, name="third")
    (tmp_path / "host.json").write_text(json.dumps(asdict(third)))
    with pytest.raises(LabError, match="in use by host third"):
        owner._remove_record_of(ELSEWHERE, tmp_path)
    assert owner.other_holder(tmp_path) == third
    assert [file.name for file in tmp_path.glob("host.*")] == ["host.json"]


def test_up_is_refused_while_up_runs_on_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "SILENT_SECONDS", 2.5)
    record = tmp_path / "running.json"
    with announced(tmp_path, LAB):
        written = json.loads(record.read_text()) | {"host": asdict(ELSEWHERE)}
        # A new file has no lock. Some disks that two machines share behave in the same way: neither machine sees the
        # locks of the other machine.
        record.unlink()
        record.write_text(json.dumps(written))
        with pytest.raises(LabError, match=r"up` runs on .* on host elsewhere: Dagster is at http://127.0.0.1:3000"):
            refuse_second(tmp_path)
    refuse_second(tmp_path)  # The heartbeat ended, so the other machine has ended too.


def test_an_orderly_end_of_up_leaves_no_record_that_a_machine_must_wait_for(tmp_path: Path) -> None:
    with announced(tmp_path, LAB):
        assert json.loads((tmp_path / "running.json").read_text())["host"] == asdict(owner.this_host())
    assert (tmp_path / "running.json").read_text() == ""
