"""Test a data folder that two hosts can use. Only one host at a time uses the folder, and no committed row is lost."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from thumblab_cli.main import cli
from thumblab_core.database.urls import database_url
from thumblab_core.embedded_postgres import cluster, location, owner, server, watcher
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings, settings

ELSEWHERE = owner.Host("elsewhere", "another machine id", "another boot", "pid:[4026531836]")
OTHER_NAMESPACES = ["unshare", "--pid", "--uts", "--fork", "--mount-proc", "--kill-child"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    folder = tmp_path_factory.mktemp("one-host") / "lab"
    own = Settings(data_dir=folder)
    database_url(own)
    yield own
    owner.remove_record(home_of(own))
    server.stop(own, force=True)
    home = home_of(own)
    if (folder / "postgres").is_symlink():
        shutil.rmtree(home)
    for link in Path("/tmp").glob(f"{watcher.folder_tag(home)}-*"):
        link.unlink()


@pytest.fixture
def lab(made: Settings) -> Settings:
    """The settings of a lab whose server has run before and is stopped now.

    A running server has a file host.json, which names the host of the server. The server of this lab is stopped, so the
    file does not exist.
    """
    if not owner.server_lives(home_of(made)):
        owner.remove_record(home_of(made))
    server.stop(made, force=True)
    return made


def home_of(lab: Settings) -> Path:
    home = location.find_home(lab.data_dir)
    assert home is not None
    return home


def left_by(host: owner.Host, lab: Settings) -> Path:
    """Write the files that `host` leaves behind if its power is cut while the server runs on `host`.

    Return the server's folder, which contains these files.
    """
    home = home_of(lab)
    for name, text in (("host.json", json.dumps(asdict(host))), ("data/postmaster.pid", "4242\n")):
        (home / name).write_text(text)
        os.chown(home / name, home.stat().st_uid, home.stat().st_gid)
    return home


def test_a_folder_of_another_host_is_refused_with_its_name_and_not_changed(lab: Settings) -> None:
    home = left_by(ELSEWHERE, lab)
    for attempt in (
        lambda: database_url(lab),
        lambda: server.start(lab, keep=True),
        lambda: server.stop(lab, force=True),
        lambda: cluster._start(home),
    ):
        with pytest.raises(LabError, match=r"in use by host elsewhere.*Stop the lab there.*thumblab db take-over"):
            attempt()
    with owner.locked(home, "start.lock"):
        watcher.stop(home)  # The files belong to the server of another host, so this call must change nothing.
    assert (home / "data" / "postmaster.pid").read_text() == "4242\n"
    assert owner.other_holder(home) == ELSEWHERE
    assert watcher.processes(home) == []
    assert not (home / "keep").exists()


def test_a_person_can_take_the_folder_over(lab: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    left_by(ELSEWHERE, lab)
    monkeypatch.setattr(owner, "SILENT_SECONDS", 0.5)
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(lab.data_dir))
    settings.cache_clear()
    run = CliRunner()
    assert "in use by host elsewhere" in run.invoke(cli, ["db", "status"]).output
    assert run.invoke(cli, ["db", "take-over"], input="n\n").exit_code == 1
    assert server.other_host(lab) == "host elsewhere"
    assert "Taken over from host elsewhere." in run.invoke(cli, ["db", "take-over", "--yes"]).output
    assert database_url(lab).startswith("postgresql+psycopg://")
    assert "there was nothing to do" in run.invoke(cli, ["db", "take-over", "--yes"]).output


def test_a_host_that_was_restarted_or_renamed_since_it_started_the_server_is_the_same_host(lab: Settings) -> None:
    mine = owner.this_host()
    if not mine.machine:
        pytest.skip("this system has no machine id, so a restarted host cannot be recognised")
    for before in (replace(mine, boot="the boot before", namespace="pid:[1]"), replace(mine, name="my-old-name")):
        left_by(before, lab)
        assert database_url(lab).startswith("postgresql+psycopg://")
        server.stop(lab, force=True)


def test_a_host_renamed_and_restarted_or_an_unreadable_record_needs_a_take_over(lab: Settings) -> None:
    home = left_by(replace(owner.this_host(), boot="the boot before", name="my-old-name"), lab)
    with pytest.raises(LabError, match="host my-old-name"):
        database_url(lab)
    (home / "host.json").write_text("")
    with pytest.raises(LabError, match="cannot be read"):
        database_url(lab)


def test_a_container_of_the_same_name_on_another_machine_is_another_host(
    lab: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = replace(owner.this_host(), name="lab-0", machine="")
    monkeypatch.setattr(owner, "this_host", lambda: mine)
    elsewhere = replace(mine, boot="another boot")
    home = left_by(elsewhere, lab)
    assert owner.other_holder(home) == elsewhere
    left_by(mine, lab)
    assert owner.other_holder(home) is None
    without_boot_id = replace(mine, boot="", namespace="")  # Some systems have no id that changes at each boot.
    monkeypatch.setattr(owner, "this_host", lambda: without_boot_id)
    left_by(without_boot_id, lab)
    assert owner.other_holder(home) is None


def test_one_of_two_hosts_that_claim_the_folder_at_once_gets_it(lab: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_of(lab)
    read, records = owner._read, []

    def read_while_the_other_claims(folder: Path) -> owner.Host | None:
        records.append(read(folder))
        # Before `claim` writes the record of this host, it checks twice whether the folder is free. Directly after the
        # second check, the host `ELSEWHERE` claims the folder.
        if len(records) == 2:
            left_by(ELSEWHERE, lab)
        return records[-1]

    monkeypatch.setattr(owner, "_read", read_while_the_other_claims)
    with pytest.raises(LabError, match="host elsewhere"):
        owner.claim(home)
    assert owner.other_holder(home) == ELSEWHERE
    assert list(home.glob("host.*.new")) == []


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.ENOSYS])
def test_a_file_system_without_hard_links_gives_the_folder_to_the_first_host_that_claims_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    other: list[owner.Host] = []

    def refuse(record: Path, _: Path) -> None:
        for host in other:
            record.write_text(json.dumps(asdict(host)))
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    owner.claim(tmp_path)
    assert owner._read(tmp_path) == owner.this_host()
    owner.remove_record(tmp_path)
    other.append(ELSEWHERE)
    with pytest.raises(LabError, match="host elsewhere"):
        owner.claim(tmp_path)
    assert [file.name for file in tmp_path.glob("host.*")] == ["host.json"]


def test_concurrent_checks_of_a_lock_do_not_see_each_other(tmp_path: Path) -> None:
    def answers() -> set[bool]:
        looks = [lambda: owner.server_lives(tmp_path), lambda: watcher.in_use(tmp_path)]
        with ThreadPoolExecutor(8) as threads:
            return set(threads.map(lambda n: looks[n % 2](), range(2_000)))

    assert answers() == {False}
    user = owner.open_file(tmp_path, "users.lock")
    fcntl.flock(user, fcntl.LOCK_SH)
    with owner.server_lock(tmp_path):
        assert answers() == {True}
    os.close(user)
    assert answers() == {False}


def test_an_orderly_end_frees_the_folder_for_any_host(lab: Settings) -> None:
    database_url(lab)
    assert json.loads((home_of(lab) / "host.json").read_text())["name"] == owner.this_host().name
    server.stop(lab, force=True)
    assert not (home_of(lab) / "host.json").exists()


@pytest.mark.slow
def test_a_container_gets_the_folder_of_another_container_only_when_that_container_is_gone(
    lab: Settings,
) -> None:
    if subprocess.run([*OTHER_NAMESPACES, "hostname", "second"], capture_output=True).returncode:
        pytest.skip("this user is not allowed to make PID and UTS namespaces")
    script = "from thumblab_core.database.urls import database_url; database_url(); print('here', flush=True); input()"
    second = f'hostname second && exec {sys.executable} -c "{script}"'
    options = {"env": os.environ | {"THUMBLAB_DATA_DIR": str(lab.data_dir)}, "text": True}
    database_url(lab)
    home = home_of(lab)
    with psycopg.connect(host=str(cluster.socket_dir(home)), user="postgres", dbname="thumblab") as connection:
        connection.execute("CREATE TABLE committed AS SELECT generate_series(1, 500) AS n")
        connection.commit()
        # A real second host could not reach the server through this socket. The test therefore moves the socket away
        # while the command `second` runs.
        (home / ".s.PGSQL.5432").rename(home / "aside")
        done = subprocess.run([*OTHER_NAMESPACES, "sh", "-c", second], capture_output=True, timeout=60, **options)
        assert f"in use by host {owner.this_host().name} (a container or another PID namespace" in done.stderr
        assert (home / "data" / "postmaster.pid").exists()
        (home / "aside").rename(home / ".s.PGSQL.5432")
        connection.execute("INSERT INTO committed VALUES (501)")
    server.stop(lab, force=True)

    container = subprocess.Popen([*OTHER_NAMESPACES, "sh", "-c", second], stdin=-1, stdout=-1, stderr=-1, **options)
    assert container.stdout is not None
    assert container.stdout.readline() == "here\n"
    with pytest.raises(LabError, match="in use by host second"):
        database_url(lab)
    with pytest.raises(LabError, match="still runs, on host second"):
        server.take_over(lab)
    container.kill()  # This kill ends all processes in the container's PID namespace.
    container.communicate()
    deadline = time.monotonic() + 60
    while owner.server_lives(home) and time.monotonic() < deadline:
        time.sleep(0.02)
    database_url(lab)
    with psycopg.connect(host=str(cluster.socket_dir(home)), user="postgres", dbname="thumblab") as connection:
        counted = connection.execute("SELECT count(*) FROM committed").fetchone()
    assert counted == (501,)
