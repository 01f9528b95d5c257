"""Run servers as child processes. If this process ends or is killed, the servers end too."""

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
"""The number of seconds that `Supervisor.wait` gives a server to answer."""
_SPAN = 600.0
"""If a server ends too often within this number of seconds, it is not restarted again."""


@dataclass(frozen=True)
class Server:
    """A server: its name, its addresses, and the command that starts it."""

    name: str
    command: list[str]
    url: str | None
    """The address of the server. It is None for Dagster's daemon, which has no address."""
    ready: str | None
    """The URL that answers when the server is ready. If it is None, `Supervisor.wait` does not wait for the server."""
    environment: dict[str, str] = field(default_factory=dict)
    """The environment variables of this server, in addition to those of the supervisor."""


class Supervisor:
    """A context manager that starts servers. At the end of its `with` block, it ends all of them.

    Each server writes its log to `<data_dir>/logs/<name>.log`.
    """

    def __init__(
        self,
        data_dir: Path,
        environment: dict[str, str],
        patience: float = 10.0,
        pauses: Sequence[float] = (0.0, 5.0, 25.0),
    ) -> None:
        """Set the environment and the limits of the servers.

        `environment` holds variables that the servers get in addition to those of this process. If this process is
        killed, the servers have `patience` seconds to end before they are killed too. `pauses` holds the seconds before
        the first, the second and each later restart of a server. A server is restarted at most `len(pauses)` times in
        ten minutes.
        """
        self._patience = patience
        self._pauses = pauses
        self._logs = data_dir / "logs"
        # The logs are always UTF-8, also if the terminal has another encoding.
        self._environment = {**os.environ, "PYTHONIOENCODING": "utf-8", **environment}
        self._servers: dict[str, Server] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._ends: dict[str, list[float]] = {}
        self._due: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        # The reaper ends the servers if this process is killed. Because the reaper has a session of its own, Ctrl-C in
        # the terminal does not end it.
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
            _signal(child, signal.SIGKILL)  # Workers of the server may still run after the server has ended.
            self._tell_reaper(-child.pid)
        self._reaper.kill()  # All servers have ended, so the reaper has nothing left to do.
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
        """Wait until the server answers. Meanwhile call `report` repeatedly with the seconds since the server's start.

        Raise LabError if a server ends, or if `server` does not answer within 180 s.
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
        """Raise LabError if a server has ended by itself. The error quotes the end of the server's log."""
        for name, child in self._children.items():
            if child.poll() is not None:
                raise LabError(self._end_of(name))

    def mend(self, report: Callable[[str], None]) -> None:
        """Restart each server that has ended, and call `report` with a sentence about its end.

        There is a pause before a restart. If the pause is not over, a later call restarts the server. Raise LabError if
        a server has ended too often.
        """
        now = time.monotonic()
        for name, child in list(self._children.items()):
            if child.poll() is None:
                continue
            if name not in self._due:
                ends = self._ends[name] = [at for at in self._ends.get(name, []) if now - at < _SPAN] + [now]
                if len(ends) > len(self._pauses):
                    raise LabError(
                        f"{self._end_of(name)}. It was started again {len(ends) - 1} times and ended each time"
                    )
                self._due[name] = now + self._pauses[len(ends) - 1]
                report(f"{self._end_of(name)}. It is started again, time {len(ends)} of {len(self._pauses)}.")
            if now >= self._due[name]:
                del self._due[name]
                _signal(child, signal.SIGKILL)  # Workers of the ended server may still hold its port.
                self._tell_reaper(-child.pid)
                self.start(self._servers[name])

    def _end_of(self, name: str) -> str:
        """Return a sentence with the exit status of the server and the last three lines of its log."""
        log = self._log(name)
        last_lines = " / ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
        return f"{name} ended with status {self._children[name].returncode}: {last_lines} (the whole log: {log})"

    def _tell_reaper(self, group: int) -> None:
        """Tell the reaper to end the process group `group` if this process dies.

        If `group` is negative, tell the reaper to leave the group `-group` alone from now on.
        """
        assert self._reaper.stdin is not None
        # If the reaper was killed, the pipe is broken. The servers are then ended only at the end of the `with` block.
        with suppress(BrokenPipeError):
            print(f"{group:+d}", file=self._reaper.stdin, flush=True)

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send the signal to the child and to its workers, which belong to the child's process group."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)
