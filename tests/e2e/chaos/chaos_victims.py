"""Find the processes of a running lab, kill one of them, and find orphaned processes."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from thumblab_pipelines.run_locks import RunLocks

Processes = list[psutil.Process]

_UVICORN = "uvicorn"


def command_line(process: psutil.Process) -> str:
    """Return the command of a process, or an empty text if the process has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


class LabProcesses:
    """The processes of the lab in `data_dir`. `up` is the process of `thumblab up` that runs the lab."""

    def __init__(self, data_dir: Path, up: int) -> None:
        self._data_dir, self._up = data_dir, psutil.Process(up)
        self._locks = RunLocks(data_dir)

    def server(self, mark: str) -> Processes:
        """Return a list with the process of the server whose command contains `mark`.

        The list is empty while the server is restarting.
        """
        return [child for child in self._up.children() if mark in command_line(child)][:1]

    def children(self, mark: str, of: str) -> Processes:
        """Return child processes of the server `of`. Only processes whose command contains `mark` are returned."""
        found = []
        for server in self.server(of):
            with suppress(psutil.NoSuchProcess):
                found += [child for child in server.children(recursive=True) if mark in command_line(child)]
        return found

    def database(self) -> Processes:
        from thumblab_core.embedded_postgres import location, watcher

        home = location.find_home(self._data_dir)
        return [] if home is None else watcher.processes(home)

    def workers(self) -> Processes:
        """Return the processes that execute runs."""
        found = []
        for lock in (self._data_dir / "dagster" / "executing").glob("*.lock"):
            holder = self._locks.holder(lock.stem)
            if holder is not None:
                found.append(holder)
        return found

    def orphans(self) -> Processes:
        """Return the orphaned processes of the lab.

        Descendants of `thumblab up`, processes of the database and the database's watcher are left out.
        """
        below = {process.pid for process in (self._up, *self._up.children(recursive=True), *self.database())}
        found = []
        for process in psutil.process_iter():
            if process.pid in below or "embedded_postgres/watcher.py" in command_line(process):
                continue
            with suppress(psutil.Error):
                ours = process.environ().get("THUMBLAB_DATA_DIR") == str(self._data_dir)
                if ours and process.status() != psutil.STATUS_ZOMBIE and process.is_running():
                    found.append(process)
        return found


CODE_SERVER, DAEMON, WEBSERVER = "api grpc", "dagster._daemon", "lab_webserver"
MLFLOW, SERVICE = "mlflow server", "thumblab_serving"

VICTIMS: dict[str, Callable[[LabProcesses], Processes]] = {
    "run worker": lambda lab: lab.workers(),
    "code server": lambda lab: lab.server(CODE_SERVER),
    "daemon": lambda lab: lab.server(DAEMON),
    "webserver": lambda lab: lab.server(WEBSERVER),
    "database": lambda lab: lab.database()[:1],
    "a process of the database": lambda lab: lab.database()[1:],
    "MLflow": lambda lab: lab.server(MLFLOW),
    "MLflow's web process": lambda lab: lab.children(_UVICORN, MLFLOW),
    "service": lambda lab: lab.server(SERVICE),
}
"""For each kind of process that a trial can kill, a function that finds the running processes of this kind."""


def described(process: psutil.Process) -> dict[str, Any]:
    return {"pid": process.pid, "command": command_line(process)[:160]}
