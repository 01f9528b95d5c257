"""Measure the processor time and memory of an idle Dagster, with one shared code server and with two.

    python -m benchmarks.service.idle [SECONDS]

The benchmark starts Dagster's webserver and daemon twice on a new lab. First, they share one code server, as with
`thumblab up`. Then the webserver and the daemon use the `workspace.yaml` of the checkout, with which each of them
starts its own code server. A minute after each start, the benchmark measures the processor time of all Dagster
processes for SECONDS (default: 130). No other program should use the machine.
"""

import os
import shutil
import socket
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from thumblab_cli.servers.lab_servers import dagster_home, dagster_servers
from thumblab_cli.servers.supervisor import Server, Supervisor
from thumblab_core.database.schema import migrate
from thumblab_core.database.urls import database_url
from thumblab_core.embedded_postgres.server import stop
from thumblab_core.settings import CHECKOUT, Settings

SECONDS = 130
_FIRST = 60.0  # In these first seconds, nothing is measured, because the daemon stores its schedules.


def cost(chosen: Settings, servers: list[Server], seconds: float) -> tuple[float, float]:
    """Return two figures of the idle servers: the processor seconds per minute, and the memory in MiB at the end."""
    home = str(dagster_home(chosen))
    with Supervisor(chosen.data_dir, {"DAGSTER_HOME": home, "THUMBLAB_DATA_DIR": str(chosen.data_dir)}) as supervisor:
        for server in servers:
            supervisor.start(server)
            supervisor.wait(server)
        time.sleep(_FIRST)
        before = _times(home)
        used = dict(before)
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            time.sleep(1)
            # The processor time of a process cannot be read after the process has ended. The benchmark therefore uses
            # the last value that it has read, at most one second before the end.
            used |= _times(home)
        spent = sum(used.values()) - sum(before.values())
        memory = sum(process.memory_info().rss for process in _processes(home)) / 2**20
    return spent * 60 / seconds, memory


def _processes(home: str) -> list[psutil.Process]:
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.environ().get("DAGSTER_HOME") == home:
                found.append(process)
    return found


def _times(home: str) -> dict[int, float]:
    """Return the processor seconds of each process of Dagster."""
    found = {}
    for process in _processes(home):
        with suppress(psutil.Error):
            times = process.cpu_times()
            found[process.pid] = times.user + times.system
    return found


def main() -> None:
    if sys.argv[1:2] in (["-h"], ["--help"]):
        print(__doc__)
        return
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    folder = Path(tempfile.mkdtemp(prefix="thumblab-idle-")).resolve()
    folder.chmod(0o755)
    os.environ["THUMBLAB_DATA_DIR"] = str(folder)
    chosen = Settings(_env_file=None, data_dir=folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    shared = dagster_servers(port, dagster_home(chosen))
    workspace = str(CHECKOUT / "workspace.yaml")
    own = [replace(server, command=[*server.command[:-1], workspace]) for server in shared[1:]]
    try:
        migrate(database_url(chosen))
        rows = {"one code server": cost(chosen, shared, seconds), "a code server each": cost(chosen, own, seconds)}
    finally:
        stop(chosen)
        shutil.rmtree(folder, ignore_errors=True)
    table = Table(title="Dagster while it is idle", title_justify="left", box=SIMPLE_HEAD)
    for column in ("", "processor seconds per minute", "MiB of memory"):
        table.add_column(column, justify="right" if column else "left")
    for name, (spent, memory) in rows.items():
        table.add_row(name, f"{spent:.1f}", f"{memory:,.0f}")
    console = Console()
    console.print(table)
    (few, _), (many, _) = rows.values()
    console.print(
        f"With one code server, Dagster takes {few / many:.0%} of the processor time that it takes "
        f"with two code servers."
    )


if __name__ == "__main__":
    main()
