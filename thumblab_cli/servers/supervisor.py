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
from thumblab_cli.servers.kept_log import KeptLog
from thumblab_cli.servers.logs import end_of_log, log_path
from thumblab_cli.servers.readiness import Ready
from thumblab_core.errors import LabError
from thumblab_core.settings import CHECKOUT

_PATIENCE = 180.0
"""The number of seconds that `Supervisor.wait` waits for a server to answer."""
_LONG_LIFE = 120.0
"""If a server has run for more than this number of seconds, its pauses begin again with the first pause.

The pauses keep a broken server from using the processor for endless restarts. A server that has run this long is not
broken.
"""
_END_SECONDS = 3.0
"""All servers must end within this number of seconds. A server that still runs after this time is killed.

Killing loses no stored work: Dagster tries the runs again at the next start, and each run continues from the work that
it has stored.
"""

_FROM_OUTSIDE = {signal.SIGHUP, signal.SIGINT, signal.SIGKILL, signal.SIGTERM}
"""Signals that come from another process or from the kernel. A server that ends by one of them logs no cause."""

_LOG_SECONDS = 1.0
"""After the servers have ended, the processes that write their logs have this number of seconds to write the rest of
the output.
"""


@dataclass(frozen=True)
class Server:
    """A server: its name, its address, and the command that starts it."""

    name: str
    command: list[str]
    url: str | None
    """The address that a person opens in the browser, or None for Dagster's code server and daemon."""
    is_ready: Ready | None
    """A function that takes the Unix time of the server's last start, and returns whether the server is ready. If
    `is_ready` is None, the supervisor does not wait for the server.
    """
    environment: dict[str, str] = field(default_factory=dict)
    """The environment variables of this server, in addition to those of the supervisor."""


class Supervisor:
    """A context manager that starts servers. At the end of its `with` block, the supervisor ends all servers.

    The log of each server is `<data_dir>/logs/<name>.log`, see `log_keeper`.
    """

    def __init__(
        self,
        data_dir: Path,
        environment: dict[str, str],
        patience: float = 10.0,
        pauses: Sequence[float] = (0.0, 5.0, 25.0, 60.0, 300.0),
    ) -> None:
        """Set the environment variables and the time limits of the servers.

        `environment` contains variables that the servers get in addition to the variables of this process. If this
        process is killed, the servers have `patience` seconds to end before they are killed too. `pauses` contains the
        seconds before the first, the second and each later restart of a server. The last value is also the pause before
        all later restarts.
        """
        self._patience = patience
        self._pauses = pauses
        self._data_dir = data_dir
        # The logs are always in UTF-8, even if the terminal has another encoding.
        self._environment = {**os.environ, "PYTHONIOENCODING": "utf-8", **environment}
        self._servers: dict[str, Server] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._logs: dict[str, KeptLog] = {}
        self._started: dict[str, float] = {}
        self._started_at: dict[str, float] = {}
        self._ends: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self._returning: set[str] = set()

    def __enter__(self) -> Self:
        (self._data_dir / "logs").mkdir(parents=True, exist_ok=True)
        # The reaper ends the servers if this process is killed. Because the reaper has its own session, Ctrl-C in
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
        deadline = time.monotonic() + _END_SECONDS
        for child in self._children.values():
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.1, deadline - time.monotonic()))
        for child in self._children.values():
            _signal(child, signal.SIGKILL)  # Workers of the server may still run after the server has ended.
            child.wait()
            self._tell_reaper(-child.pid)
        written_by = time.monotonic() + _LOG_SECONDS
        for log in self._logs.values():
            log.close(max(0.0, written_by - time.monotonic()))
        self._reaper.kill()  # All servers have ended, so the reaper has nothing left to do.
        self._reaper.communicate()

    def start(self, server: Server) -> None:
        """Start the server, and do not wait until it is ready."""
        if server.name in self._logs:
            self._logs[server.name].close(_LOG_SECONDS)
        log = self._logs[server.name] = KeptLog(log_path(self._data_dir, server.name))
        with log.writing() as descriptor:
            self._children[server.name] = subprocess.Popen(
                server.command,
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                env={**self._environment, **server.environment},
                cwd=CHECKOUT,
                start_new_session=True,
            )
        self._servers[server.name] = server
        self._started[server.name] = time.monotonic()
        self._started_at[server.name] = time.time()
        self._tell_reaper(self._children[server.name].pid)

    def wait(self, server: Server, report: Callable[[float], None] = lambda _: None) -> None:
        """Wait until the server is ready. Meanwhile call `report` repeatedly with the seconds since the server's start.

        Raise LabError if a server ends, or if `server` is not ready within 180 s.
        """
        deadline = time.monotonic() + _PATIENCE
        while server.is_ready is not None:
            self.check()
            report(time.monotonic() - self._started[server.name])
            if self._is_ready(server):
                return
            if time.monotonic() > deadline:
                at = f" at {server.url}" if server.url else ""
                log = log_path(self._data_dir, server.name)
                raise LabError(f"{server.name} does not answer{at} within {_PATIENCE:.0f} s; see {log}")
            time.sleep(0.2)

    def check(self) -> None:
        """Raise LabError if a server has ended by itself. The error quotes the end of the server's log."""
        for name, child in self._children.items():
            if child.poll() is not None:
                raise LabError(self._end_of(name))

    def kill(self, name: str) -> None:
        """End a server immediately, together with its workers. `mend` then starts the server again."""
        _signal(self._children[name], signal.SIGKILL)

    def mend(self, report: Callable[[str], None]) -> None:
        """Restart each server that has ended. Call `report` with a sentence when a server has ended, and when a
        restarted server is ready.

        The pause before each further restart is longer. Otherwise a server that always ends right after its start would
        keep the processor busy with restarts. If the pause is not over yet, a later call restarts the server.
        """
        for name, child in list(self._children.items()):
            if child.poll() is None:
                with suppress(OSError):  # The system allows no further process now. A later call tries again.
                    self._logs[name].mend()
                if name in self._returning and self._is_ready(self._servers[name]):
                    self._returning.remove(name)
                    report(f"{name} is ready again, {time.monotonic() - self._started[name]:.0f} s after its start")
                continue
            self._returning.discard(name)
            now = time.monotonic()
            if name not in self._due:
                has_lived = now - self._started[name] > _LONG_LIFE
                self._ends[name] = 1 if has_lived else self._ends.get(name, 0) + 1
                pause = self._pauses[min(self._ends[name], len(self._pauses)) - 1]
                self._due[name] = now + pause
                when = f"in {pause:.0f} s" if pause else "now"
                report(f"{self._end_of(name)}. It is started again {when} (restart {self._ends[name]}).")
            if now >= self._due[name]:
                del self._due[name]
                _signal(child, signal.SIGKILL)  # Workers of the ended server may still use its port.
                self._tell_reaper(-child.pid)
                try:
                    self.start(self._servers[name])
                    if self._servers[name].is_ready is not None:
                        self._returning.add(name)
                except OSError as error:  # For example, the system allows no further process. A later call tries again.
                    report(f"{name} cannot be started now ({error.strerror})")

    def _is_ready(self, server: Server) -> bool:
        return server.is_ready is None or server.is_ready(self._started_at[server.name])

    def _end_of(self, name: str) -> str:
        """Return a sentence with the exit status of the server and the last three lines of its log.

        If another process ended the server by a signal, the lines are left out, because they do not name the cause.
        """
        self._logs[name].wait(_LOG_SECONDS)
        log, status = log_path(self._data_dir, name), self._children[name].returncode
        end = f"ended with status {status}"
        if -status in list(signal.Signals):
            end = f"was killed by signal {-status} ({signal.Signals(-status).name})"
        if -status in _FROM_OUTSIDE:
            return f"{name} {end} (the whole log: {log})"
        last_lines = ""
        with suppress(LabError, OSError):
            last_lines = " / ".join(end_of_log(log, 3))
        return f"{name} {end}: {last_lines} (the whole log: {log})"

    def _tell_reaper(self, group: int) -> None:
        """Tell the reaper about the process group `group`. If this process dies, the reaper ends the group.

        A negative `group` tells the reaper that the group `-group` has ended. The reaper then does not end it.
        """
        assert self._reaper.stdin is not None
        # If the reaper was killed, the pipe is broken. The servers are then ended only at the end of the
        # `with` block in which the caller uses this `Supervisor`.
        with suppress(BrokenPipeError):
            print(f"{group:+d}", file=self._reaper.stdin, flush=True)


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send the signal to the child and to its workers, which belong to the child's process group."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)
