"""The servers of the lab as child processes: started together, waited for, and gone when their parent is."""

import fcntl
import importlib.metadata
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from thumblab_cli.servers import reaper
from thumblab_core.errors import LabError
from thumblab_core.hosts import answering_host, host_in_url
from thumblab_core.settings import CHECKOUT, MLFLOW_PORT, Settings

_PATIENCE = 180.0
_SPAN = 600.0
"""Seconds after which the end of a server is forgotten."""
_MLFLOW_PORT = "mlflow-port"


@dataclass(frozen=True)
class Server:
    """A server: how to start it, and the URL that answers once it is ready (None: it has none)."""

    name: str
    command: list[str]
    url: str | None
    ready: str | None
    environment: dict[str, str] = field(default_factory=dict)


class Supervisor:
    """Starts servers and ends them all on leaving. Each writes to `<data_dir>/logs/<name>.log`."""

    def __init__(
        self,
        data_dir: Path,
        environment: dict[str, str],
        patience: float = 10.0,
        pauses: Sequence[float] = (0.0, 5.0, 25.0),
    ) -> None:
        """`patience`: seconds that servers have to end by themselves once this process is gone.

        `pauses`: seconds before a server that has ended is started again, for each time that this is done in ten minutes.
        """
        self._patience = patience
        self._pauses = pauses
        self._logs = data_dir / "logs"
        # Logs are UTF-8, whatever the terminal is.
        self._environment = {**os.environ, "PYTHONIOENCODING": "utf-8", **environment}
        self._servers: dict[str, Server] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._started: dict[str, float] = {}
        self._ends: dict[str, list[float]] = {}
        self._due: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        # In a session of its own: Ctrl-C in the terminal must not end what ends the servers.
        self._will = subprocess.Popen(
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
            self._note(-child.pid)
        self._will.kill()  # there is nothing left for it to do
        self._will.communicate()

    def start(self, server: Server) -> None:
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
        self._note(self._children[server.name].pid)

    def wait(self, server: Server, tell: Callable[[float], None] = lambda _: None) -> None:
        """Until it answers; `tell` is called again and again with the seconds since it was started.

        Raises `LabError` with the end of its log when it ends, or does not answer in 180 s.
        """
        import httpx

        deadline = time.monotonic() + _PATIENCE
        while server.ready is not None:
            self.check()
            tell(time.monotonic() - self._started[server.name])
            try:
                if httpx.get(server.ready, timeout=5, trust_env=False).status_code < 500:
                    return
            except httpx.HTTPError:
                pass
            if time.monotonic() > deadline:
                raise LabError(f"{server.name} does not answer at {server.ready}; see {self._log(server.name)}")
            time.sleep(0.2)

    def check(self) -> None:
        """Raise `LabError` when a server has ended by itself."""
        for name, child in self._children.items():
            if child.poll() is not None:
                raise LabError(self._end_of(name))

    def mend(self, tell: Callable[[str], None]) -> None:
        """Start servers that have ended again, and tell so. Raises `LabError` for one that keeps ending."""
        now = time.monotonic()
        for name, child in list(self._children.items()):
            if child.poll() is None:
                continue
            if name not in self._due:
                ends = self._ends[name] = [at for at in self._ends.get(name, []) if now - at < _SPAN] + [now]
                if len(ends) > len(self._pauses):
                    raise LabError(f"{self._end_of(name)}. It keeps ending: it was started again {len(ends) - 1} times")
                self._due[name] = now + self._pauses[len(ends) - 1]
                tell(f"{self._end_of(name)}. It is started again, time {len(ends)} of {len(self._pauses)}.")
            if now >= self._due[name]:
                del self._due[name]
                _signal(child, signal.SIGKILL)  # its workers, which may hold its port
                self._note(-child.pid)
                self.start(self._servers[name])

    def _end_of(self, name: str) -> str:
        log = self._log(name)
        last = " / ".join(log.read_text(errors="replace").strip().splitlines()[-3:])
        return f"{name} ended with status {self._children[name].returncode}: {last} (all of it: {log})"

    def _note(self, group: int) -> None:
        assert self._will.stdin is not None
        with suppress(BrokenPipeError):  # somebody killed it: the servers still end with an orderly end
            print(f"{group:+d}", file=self._will.stdin, flush=True)

    def _log(self, name: str) -> Path:
        return self._logs / f"{name}.log"


@contextmanager
def only_one(path: Path, otherwise: str) -> Iterator[None]:
    """Hold the lock of `path`; raises `LabError` with the sentence when another process holds it."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released by the kernel, also when we are killed
        except BlockingIOError:
            raise LabError(f"{path.parent} is in use: {otherwise}; wait for it or stop it") from None
        yield


def mlflow_port(data_dir: Path) -> int:
    """The port of the lab's MLflow, the same at every start so that links to it stay good; at first the usual one."""
    return kept_port(data_dir / _MLFLOW_PORT, MLFLOW_PORT)


def keep_mlflow_port(data_dir: Path, port: int) -> None:
    """Have the lab's MLflow on this port from now on."""
    _keep_port(data_dir / _MLFLOW_PORT, port)


def kept_port(memory: Path, preferred: int = 0) -> int:
    """The port that is kept in the file; else one that is free now, the preferred one if it can be had, which is kept."""
    with suppress(OSError, ValueError):  # a file that holds no port is as good as none
        port = int(memory.read_text())
        if 0 < port < 2**16:
            return port
    port = free_port(preferred)
    _keep_port(memory, port)
    return port


def _keep_port(memory: Path, port: int) -> None:
    memory.parent.mkdir(parents=True, exist_ok=True)
    aside = memory.with_name(f"{memory.name}.{os.getpid()}.new")
    aside.write_text(str(port))
    aside.replace(memory)


def free_port(preferred: int = 0) -> int:
    """A port of the loopback interface that nobody listens on at this moment: the preferred one if it can be had."""
    for port in (preferred, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise LabError("no port of 127.0.0.1 is free; stop some servers")


def refuse_taken(server: Server) -> None:
    """Raise `LabError` when somebody else listens where the server will: its answers would pass for ours."""
    if server.url is None:
        return
    address = urlsplit(server.url)
    try:
        socket.create_connection((address.hostname or "", address.port or 80), 2).close()
    except OSError:
        return
    raise LabError(
        f"something listens on {address.netloc} already; stop it, or give {server.name} another port "
        "(see thumblab up --help and THUMBLAB_SERVING_PORT)"
    )


def mlflow_server(settings: Settings, port: int) -> Server:
    """MLflow on the lab's PostgreSQL, with its artifacts in the data folder."""
    from thumblab_core.database.server import named_database_url
    from thumblab_core.embedded_postgres.cluster import link_to

    base = f"http://127.0.0.1:{port}"
    artifacts = settings.data_dir / "mlflow-artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--artifacts-destination", artifacts.resolve().as_uri(), "--serve-artifacts"]
    # The URI goes through the environment: an external database's password must not stand in the list of processes.
    environment = {
        "MLFLOW_BACKEND_STORE_URI": named_database_url("mlflow", "psycopg2", settings),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    installed = Path(str(importlib.metadata.distribution("mlflow").locate_file("")))
    if "%" in str(installed):  # its migrations take a percent sign in their own path for the beginning of a variable
        environment["PYTHONPATH"] = str(link_to(installed))
    return Server("mlflow", command, base, f"{base}/health", environment)


def scoring_server(settings: Settings, port: int) -> Server:
    """The scoring service."""
    host = settings.serving_host
    base = f"http://{host_in_url(answering_host(host), port)}"
    command = [sys.executable, "-m", "thumblab_serving"]
    return Server("scoring", [*command, "--host", host, "--port", str(port)], base, f"{base}/health")


def dagster_servers(port: int) -> list[Server]:
    """The Dagster webserver and daemon, over one code server each."""
    location = ["-w", str(CHECKOUT / "workspace.yaml")]
    base = f"http://127.0.0.1:{port}"
    webserver = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), *location]
    daemon = [sys.executable, "-m", "dagster._daemon", "run", *location]
    # How long a busy machine may take to start the process of a run; Dagster's own 60 s are too few for two cores.
    environment = {"DAGSTER_GRPC_TIMEOUT_SECONDS": "180"}
    return [
        Server("dagster", webserver, base, f"{base}/server_info", environment),
        Server("dagster-daemon", daemon, None, None, environment),
    ]


def dagster_home(settings: Settings) -> Path:
    """The folder that DAGSTER_HOME must name: Dagster's own files, and our `dagster.yaml` as it is now."""
    home = settings.data_dir.resolve() / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_bytes((CHECKOUT / "dagster.yaml").read_bytes())
    return home


def _signal(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To the whole session of the child: servers have workers."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)
