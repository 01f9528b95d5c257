"""Choose free ports for the lab's servers, keep each port for the next start, and detect a port that is taken."""

import os
import socket
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from thumblab_core.errors import LabError
from thumblab_core.settings import MLFLOW_PORT

_MLFLOW_PORT = "mlflow-port"
"""The name of a file in the data folder. This file stores MLflow's port."""

_OTHER_PORT = {"dagster": "--dagster-port", "mlflow": "--mlflow-port", "scoring": "THUMBLAB_SERVING_PORT"}
"""The option or the setting with which a user chooses the port of each server of `thumblab up`."""


def mlflow_port(data_dir: Path) -> int:
    """Return the port of the lab's MLflow. It is the same at every start, so that links to MLflow stay valid.

    At the first start, the port is 5000, or a free port if 5000 is taken.
    """
    return kept_port(data_dir / _MLFLOW_PORT, MLFLOW_PORT)


def next_mlflow_port(data_dir: Path) -> int:
    """Return the port that `mlflow_port` would return, but do not store it."""
    return _read_port(data_dir / _MLFLOW_PORT) or free_port(MLFLOW_PORT)


def keep_mlflow_port(data_dir: Path, port: int) -> None:
    """Store `port` as the port of the lab's MLflow for this start and all later ones."""
    _keep_port(data_dir / _MLFLOW_PORT, port)


def kept_port(memory: Path, preferred: int = 0) -> int:
    """Return the port that is stored in the file `memory`. If none is stored, choose a free port and store it.

    The choice is `preferred` if that port is free.
    """
    port = _read_port(memory)
    if port is None:
        port = free_port(preferred)
        _keep_port(memory, port)
    return port


def _read_port(memory: Path) -> int | None:
    """Return the port that is stored in the file, or None if the file is missing or holds no valid port."""
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
    """Return a port of 127.0.0.1 on which no program listens now. The result is `preferred` if that port is free."""
    for port in (preferred, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise LabError("no port of 127.0.0.1 is free; stop some of the servers on this machine")


def refuse_taken(name: str, url: str) -> None:
    """Raise LabError if another program listens at the URL. The lab would mistake this program for its own server.

    `name` is the name of the server, one of the keys of `_OTHER_PORT`.
    """
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 80), 2).close()
    except OSError:
        return
    raise LabError(
        f"something listens on {address.netloc} already; stop it, or give {name} another port with {_OTHER_PORT[name]}"
    )
