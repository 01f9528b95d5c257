"""Run servers as child processes, which end when their parent ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from thumblab_cli.servers import reaper
from thumblab_core.errors import LabError
from thumblab_core.settings import CHECKOUT

_PATIENCE = 180.0
"""Seconds that a server may take to answer."""
_SPAN = 600.0
"""Seconds for which the end of a server counts towards the limit on restarts."""


@dataclass(frozen=True)
class Server:
    """A server and how to start it."""

    name: str
    command: list[str]
    url: str | None
    """The address of the server; None for the daemon, which has none."""
    ready: str | None
    """The URL that answers once the server is ready; None where there is nothing to wait for."""
    environment: dict[str, str] = field(default_factory=dict)
    """Variables of this server, in addition to the supervisor's."""


class Supervisor:
    """Starts servers, and ends them all at the end of its block. Each writes to `<data_dir>/logs/<name>.log`."""

    def __init__(
        self,
        data_dir: Path,
        environment: dict[str, str],
        patience: float = 10.0,
        pauses: Sequence[float] = (0.0, 5.0, 25.0),
    ) -> None:
        """Set the variables and the limits of the servers.

        `environment`: variables that the servers get in addition to this process's own.
        `patience`: seconds that servers have to end by themselves once this process is gone.
        `pauses`: seconds before each restart of a server that has ended; their number limits the restarts in ten minutes.
        """
        self._patience = patience
        self._pauses = pauses
        self._logs = data_dir / "logs"
        # The logs are UTF-8, whatever the encoding of the terminal.
        self._environment = {**os.environ, "PYTHONIOENCODING": "utf-8", **environment}
        self._servers: dict[str, Server] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._ends: dict[str, list[float]] = {}
        self._due: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        # The reaper has its own session, so that Ctrl-C in the terminal does not end it before the servers.
        self._reaper = subprocess.Popen(
            [sys.executable, "-I", "-S", reaper.__file__, str(self._patience)],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children.values():
            _signal(child, signal.SIGTERM)
        deadline = time.monotonic() + 15
        for child in self._children.values():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _signal(child, signal.SIGKILL)
                child.wait()
            _signal(child, signal.SIGKILL)  # a server that has ended may have left workers
            self._tell_reaper(-child.pid)
        self._reaper.kill()  # no server is left for it to end
        self._reaper.communicate()

    def start(self, server: Server) -> None:
        """Start the server without waiting for it."""
        with (self._logs / f"{server.name}.log").open("ab") as log:
            self._children[server.name] = subprocess.Popen(
                server.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**self._environment, **server.environment},
                cwd=CHECKOUT,
                start_new_session=True,
            )
        self._servers[server.name] = server
        self._started[server.name] = time.monotonic()
        self._tell_reaper(self._children[server.name].pid)

    def wait(self, server: Server, report: Callable[[float], None] = lambda _: None) -> None:
        """Wait until the server answers, and call `report` repeatedly with the seconds since its start.

        Raises LabError with the end of its log when it ends, or when it does not answer in 180 s.
        """
        import httpx

        deadline = time.monotonic() + _PATIENCE
        while server.ready is not None:
            self.check()
            report(time.monotonic() - self._started[server.name])
            try:
                if httpx.get(server.ready, timeout=5, trust_env=False).status_code < 500:
                    return
            except httpx.HTTPError:
                pass
            if time.monotonic() > deadline:
                raise LabError(f"{server.name} does not answer at {server.ready}; see {self._log(server.name)}")
            time.sleep(0.2)

    def check(self) -> None:
        """Raise LabError when a server has ended by itself."""
        for name, child in self._children.items():
            if child.poll() is not None:
                raise LabError(self._end_of(name))

    def mend(self, report: Callable[[str], None]) -> None:
        """Start servers again that have ended, and report each in a sentence. Raises LabError when one keeps ending."""
        now = time.monotonic()
        for name, child in list(self._children.items()):
            if child.poll() is None:
                continue
            if name not in self._due:
                ends = self._ends[name] = [at for at in self._ends.get(name, []) if now - at < _SPAN] + [now]
                if len(ends) > len(self._pauses):
                    raise LabError(f"{self._end_of(name)}. It keeps ending: it was started again {len(ends) - 1} times")
                self._due[name] = now + self._pauses[len(ends) - 1]
                report(f"{self._end_of(name)}. It is started again, time {len(ends)} of {len(self._pauses)}.")
            if now >= self._due[name]:
                del self._due[name]
                _signal(child, signal.SIGKILL)  # its workers, which may hold its port
                self._tell_reaper(-child.pid)
                self.start(self._servers[name])

    def _end_of(self, name: str) -> str:
        """Return a sentence on how the server ended, with the last three lines of its log."""
        log = self._log(name)
        last_lines = " / ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
        return f"{name} ended with status {self._children[name].returncode}: {last_lines} (the whole log: {log})"

    def _tell_reaper(self, group: int) -> None:
        """Add a process group to those that the reaper ends; a negative number removes it."""
        assert self._reaper.stdin is not None
        with suppress(BrokenPipeError):  # the reaper was killed; the servers are still ended at the end of the block
            print(f"{group:+d}", file=self._reaper.stdin, flush=True)

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send the signal to the whole session of the child, because servers have workers."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)
