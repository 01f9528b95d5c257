"""The servers of the lab as child processes: started together, waited for, and gone when their parent is."""

import fcntl
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from thumblab_cli import last_will
from thumblab_core.errors import LabError
from thumblab_core.settings import CHECKOUT, Settings

_PATIENCE = 180.0


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

    def __init__(self, data_dir: Path, environment: dict[str, str], patience: float = 10.0) -> None:
        """`patience`: seconds that servers have to end by themselves once this process is gone."""
        self._patience = patience
        self._logs = data_dir / "logs"
        self._environment = {**os.environ, **environment}
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        # In a session of its own: Ctrl-C in the terminal must not end what ends the servers.
        self._will = subprocess.Popen(
            [sys.executable, "-I", "-S", last_will.__file__, str(self._patience)],
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
        self._note(self._children[server.name].pid)

    def wait(self, server: Server) -> None:
        """Until it answers. Raises `LabError` with the end of its log when it ends, or does not answer in 180 s."""
        import httpx

        deadline = time.monotonic() + _PATIENCE
        while server.ready is not None:
            self.check()
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
                log = self._log(name)
                last = log.read_text(errors="replace").strip().splitlines()[-3:]
                raise LabError(f"{name} ended with status {child.returncode}: {' / '.join(last)} (all of it: {log})")

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
    address = urlsplit(server.url or "")
    with socket.socket() as probe:
        probe.settimeout(2)
        if probe.connect_ex((address.hostname or "", address.port or 80)) == 0:
            raise LabError(
                f"something listens on {address.netloc} already; stop it, or give {server.name} another port "
                "(see thumblab up --help and THUMBLAB_SERVING_PORT)"
            )


def mlflow_server(settings: Settings, port: int) -> Server:
    """MLflow on the lab's PostgreSQL, with its artifacts in the data folder."""
    from thumblab_core.database.server import named_database_url

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
    return Server("mlflow", command, base, f"{base}/health", environment)


def scoring_server(settings: Settings, port: int) -> Server:
    """The scoring service."""
    host = settings.serving_host
    base = f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"  # noqa: S104  (compared, not bound)
    command = [sys.executable, "-m", "thumblab_serving"]
    return Server("scoring", [*command, "--host", host, "--port", str(port)], base, f"{base}/health")


def dagster_servers(port: int) -> list[Server]:
    """The Dagster webserver and daemon, over one code server each."""
    location = ["-w", str(CHECKOUT / "workspace.yaml")]
    base = f"http://127.0.0.1:{port}"
    webserver = [sys.executable, "-m", "dagster_webserver", "-h", "127.0.0.1", "-p", str(port), *location]
    daemon = [sys.executable, "-m", "dagster._daemon", "run", *location]
    return [Server("dagster", webserver, base, f"{base}/server_info"), Server("dagster-daemon", daemon, None, None)]


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
