"""The ports of the lab's servers: find a free one, keep it from start to start, and detect one that is taken."""

import os
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from thumblab_core.errors import LabError
from thumblab_core.settings import MLFLOW_PORT

_MLFLOW_PORT = "mlflow-port"
"""The file in the data folder that keeps MLflow's port."""

_OTHER_PORT = {"dagster": "--dagster-port", "mlflow": "--mlflow-port", "scoring": "THUMBLAB_SERVING_PORT"}
"""What gives each server of `thumblab up` another port: an option or a setting."""


def mlflow_port(data_dir: Path) -> int:
    """Return the port of the lab's MLflow, the same at every start so that links to it stay valid; at first 5000."""
    return kept_port(data_dir / _MLFLOW_PORT, MLFLOW_PORT)


def next_mlflow_port(data_dir: Path) -> int:
    """Return the port that `mlflow_port` would return, without keeping it."""
    return _read_port(data_dir / _MLFLOW_PORT) or free_port(MLFLOW_PORT)


def keep_mlflow_port(data_dir: Path, port: int) -> None:
    """Keep this port for the lab's MLflow from now on."""
    _keep_port(data_dir / _MLFLOW_PORT, port)


def kept_port(memory: Path, preferred: int = 0) -> int:
    """Return the port kept in the file `memory`. Where there is none, choose a free port and keep it.

    The preferred port is chosen if it is free.
    """
    port = _read_port(memory)
    if port is None:
        port = free_port(preferred)
        _keep_port(memory, port)
    return port


def _read_port(memory: Path) -> int | None:
    """Return the port kept in the file; None where there is no file, or no valid port in it."""
    with suppress(OSError, ValueError):
        port = int(memory.read_text())
        if 0 < port < 2**16:
            return port
    return None


def _keep_port(memory: Path, port: int) -> None:
    memory.parent.mkdir(parents=True, exist_ok=True)
    temporary = memory.with_name(f"{memory.name}.{os.getpid()}.new")
    temporary.write_text(str(port))
    temporary.replace(memory)


def free_port(preferred: int = 0) -> int:
    """Return a port of the loopback interface on which nothing listens now: the preferred one if it is free."""
    for port in (preferred, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise LabError("no port of 127.0.0.1 is free; stop some servers")


def refuse_taken(name: str, url: str) -> None:
    """Raise LabError when another program listens at the server's URL: its answers would be taken for the server's.

    `name` is that of the server, one of `_OTHER_PORT`.
    """
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 80), 2).close()
    except OSError:
        return
    raise LabError(
        f"something listens on {address.netloc} already; stop it, or give {name} another port with {_OTHER_PORT[name]}"
    )
