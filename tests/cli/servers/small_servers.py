"""Small programs that tests start as servers, and the processes of these servers."""

import sys
import time
from collections.abc import Callable

import psutil

from thumblab_cli.servers.supervisor import Server

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
WITH_WORKER = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STUBBORN!r}])"
POLITE = "import time; print('up', flush=True); time.sleep(600)"


def server(name: str, command: str) -> Server:
    return Server(name, [sys.executable, "-c", command], None, None)


def children_with(text: str) -> list[psutil.Process]:
    """Return the child processes whose command contains the text."""
    living = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in living if text in " ".join(child.cmdline())]


def gone(processes: list[psutil.Process], within: float) -> bool:
    return not psutil.wait_procs(processes, within)[1]


def wait_until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60  # A busy machine may stop a process for seconds.
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)
