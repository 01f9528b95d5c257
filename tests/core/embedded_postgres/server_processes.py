"""Start processes that use an embedded PostgreSQL server, and find the processes that belong to this server."""

import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

from thumblab_core.embedded_postgres import cluster, location, owner, watcher

USE = """
    from thumblab_core.database.urls import database_url
    url = database_url()
    print(url, flush=True)
"""
KEEP = """
    from thumblab_core.embedded_postgres import server
    from thumblab_core.settings import settings
    server.start(settings(), keep=True)
"""


def remove(folder: Path) -> None:
    home = location.find_home(folder)
    if home is None:
        return
    with owner.locked(home, "start.lock"):
        watcher.stop(home)
    # The watcher is the process that stops an unused server. At its end, the watcher opens its lock files again, and
    # creates missing files. No file must appear while the folder is being removed, so this function first waits until
    # the watcher has ended.
    assert soon(lambda: watchers(folder) == []), "a process still uses the server"
    if (folder / "postgres").is_symlink():
        shutil.rmtree(home)
    for link in Path("/tmp").glob(f"{watcher.folder_tag(home)}-*"):
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
    """Write `given` to the stdin of the process, wait until the process ends, and return the output of the process.

    The process must succeed and print nothing on stderr.
    """
    printed, complaints = process.communicate(given, timeout=60)
    assert (process.returncode, complaints) == (0, "")
    return printed.strip()


def sql(data_dir: Path, statement: str) -> object:
    """Run an SQL statement on the running server of `data_dir`, and return the first value of the result.

    The calling process does not count as a user of the server, so the call does not keep the server running.
    """
    folder = str(cluster.socket_dir(home_of(data_dir)))
    with psycopg.connect(host=folder, user="postgres", dbname="thumblab", autocommit=True) as connection:
        answer = connection.execute(statement)
        row = answer.fetchone() if answer.description else None
        return row[0] if row else None


@contextmanager
def user(data_dir: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that uses the server until the `with` block ends. The block may kill the process earlier."""
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
