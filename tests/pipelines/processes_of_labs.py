"""End the processes that a test's lab has started."""

from contextlib import suppress
from pathlib import Path

import psutil


def kill_processes(home: Path) -> None:
    """Kill the code servers of a lab and the processes of its runs.

    The environment of a process that has ended, but was not reaped, cannot be read. Such processes are left out.
    """
    victims = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if process.environ().get("DAGSTER_HOME") == str(home):
                process.kill()
                victims.append(process)
    psutil.wait_procs(victims, timeout=10)
