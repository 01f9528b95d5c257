"""Choose the ports of the lab's servers, keep them for the next start, and detect a port that is taken."""

import errno
import os
import socket
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from thumblab_core.errors import LabError
from thumblab_core.hosts import host_in_url
from thumblab_core.running import port_file, read_port
from thumblab_core.settings import MLFLOW_PORT, Settings

DAGSTER_PORT = 3000
"""The port of Dagster's UI under `thumblab up`, unless the user gives a different port or this port is taken."""

LOOPBACK = "127.0.0.1"

_NEAR = 20
"""If a port is taken, the `_NEAR` ports above it are tried first, and then any other free port."""

_OTHER_PORT = {"dagster": "--dagster-port", "mlflow": "--mlflow-port", "scoring": "THUMBLAB_SERVING_PORT"}
"""The option or the setting with which a user chooses the port of each server of `thumblab up`."""


@dataclass(frozen=True)
class Ports:
    """The ports of the servers of `thumblab up`.

    If the usual port of a server was taken, `moved` maps the name of the server to this usual port.
    """

    dagster: int
    mlflow: int
    scoring: int
    moved: dict[str, int] = field(default_factory=dict)


def plan_ports(settings: Settings, dagster: int | None = None, mlflow: int | None = None) -> Ports:
    """Choose the ports for the next start of `thumblab up`, and write nothing.

    - A port that the user gives is never replaced: an argument, or `serving_port` in the settings.
    - At its first start, a server gets its usual port, or a free port if the usual port is taken.
    - At a later start, a server gets the port of its last start. If this port is taken, Dagster gets a free port, because
      only links in old runs of MLflow depend on Dagster's port.
    - MLflow and the scoring service keep the port of their last start, even if it is taken. Links, bookmarks and the
      page's storage in a browser depend on this port.

    So the result may contain a port that is taken. `refuse_taken` detects this case.
    """
    data_dir, moved = settings.data_dir, {}
    scoring_given = settings.serving_port if "serving_port" in settings.model_fields_set else None
    staying = (
        mlflow or read_port(port_file(data_dir, "mlflow")),
        scoring_given or read_port(port_file(data_dir, "scoring")),
    )
    chosen = [port for port in (dagster, *staying) if port is not None]

    def choose(server: str, given: int | None, usual: int, host: str = LOOPBACK, movable: bool = False) -> int:
        kept = read_port(port_file(data_dir, server))
        if given is not None or (kept is not None and not movable):
            return given or kept or usual
        port = free_port(kept or usual, host, chosen)
        if port != (kept or usual):
            moved[server] = kept or usual
        chosen.append(port)
        return port

    return Ports(
        choose("dagster", dagster, DAGSTER_PORT, movable=True),
        choose("mlflow", mlflow, MLFLOW_PORT),
        choose("scoring", scoring_given, settings.serving_port, settings.serving_host),
        moved,
    )


def keep_ports(settings: Settings, ports: Ports) -> None:
    """Store the ports for later starts. The port of the service is not stored if the user's settings contain this port."""
    _keep_port(port_file(settings.data_dir, "dagster"), ports.dagster)
    _keep_port(port_file(settings.data_dir, "mlflow"), ports.mlflow)
    if "serving_port" not in settings.model_fields_set:
        _keep_port(port_file(settings.data_dir, "scoring"), ports.scoring)


def mlflow_port(data_dir: Path) -> int:
    """Return the port of the lab's MLflow. The port is the same at every start, so that links to MLflow stay valid.

    At the first start, the port is 5000, or a free port if 5000 is taken.
    """
    return kept_port(port_file(data_dir, "mlflow"), MLFLOW_PORT)


def kept_port(memory: Path, preferred: int = 0) -> int:
    """Return the port that is stored in the file `memory`. If no port is stored, choose a free port and store it.

    If the port `preferred` is free, it is chosen.
    """
    port = read_port(memory)
    if port is None:
        port = free_port(preferred)
        _keep_port(memory, port)
    return port


def _keep_port(memory: Path, port: int) -> None:
    memory.parent.mkdir(parents=True, exist_ok=True)
    temporary = memory.with_name(f"{memory.name}.{os.getpid()}.new")
    temporary.write_text(str(port))
    temporary.replace(memory)


def free_port(preferred: int = 0, host: str = LOOPBACK, without: Collection[int] = ()) -> int:
    """Return a port of `host` that is free now and is not in `without`.

    The result is the port `preferred` if it is free. Otherwise, it is the first free port among the ports after
    `preferred`.
    """
    near = range(preferred, min(preferred + _NEAR, 2**16)) if preferred else ()
    for port in (*near, 0):
        if port in without:
            continue
        with suppress(OSError), _bound(host, port) as bound:
            return bound
    raise LabError(f"no port of {host} is free; stop some of the servers on this machine")


@contextmanager
def _bound(host: str, port: int) -> Iterator[int]:
    """Bind the port on every address of a host name, as asyncio's servers do, and yield the port. 0 means any free
    port.

    Raises `OSError` if the name is unknown, or if the port cannot be bound on one of the addresses.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    with ExitStack() as stack:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            probe = stack.enter_context(socket.socket(family, kind, protocol))
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind((address[0], port, *address[2:]))
            port = port or int(probe.getsockname()[1])
        yield port


def refuse_taken(name: str, url: str) -> None:
    """Raise LabError if another program listens at the URL. The lab would otherwise send its requests to this program.

    `name` is the name of the server, one of the keys of `_OTHER_PORT`.
    """
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "", address.port or 80), 2).close()
    except OSError:
        return
    raise _taken(name, address.netloc)


def refuse_unusable(name: str, host: str, port: int) -> None:
    """Raise LabError if this process cannot listen on the port of `host`, which is a name or an address.

    This check gives a clear error immediately. The server itself fails only seconds later, with a traceback.
    """
    setting = "THUMBLAB_SERVING_HOST"
    advice = f"set {setting} to an address of this machine, such as 127.0.0.1, ::1 or 0.0.0.0"
    try:
        with _bound(host, port):
            return
    except socket.gaierror as problem:
        raise LabError(f"{setting} is {host}, which is not a known name ({problem.strerror}); {advice}") from None
    except OSError as problem:
        if problem.errno == errno.EADDRINUSE:
            raise _taken(name, host_in_url(host, port)) from None
        if problem.errno == errno.EACCES:
            raise LabError(
                f"this user may not listen on port {port}; give {name} a port above 1023 with {_OTHER_PORT[name]}"
            ) from None
        raise LabError(f"{setting} is {host}, which cannot be used here ({problem.strerror}); {advice}") from None


def _taken(name: str, address: str) -> LabError:
    return LabError(
        f"something listens on {address} already; stop it, or give {name} another port with {_OTHER_PORT[name]}"
    )
