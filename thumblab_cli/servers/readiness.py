"""Make functions that check whether a server is ready.

Each returned function takes the Unix time of the server's last start, in seconds, and returns a boolean.
"""

import socket
from collections.abc import Callable
from pathlib import Path

Ready = Callable[[float], bool]

_SECONDS = 5.0
_DAEMON = {"query": "{ instance { daemonHealth { allDaemonStatuses { required lastHeartbeatTime } } } }"}


def answers_at(url: str) -> Ready:
    """Return a function that checks whether a server answers at the URL."""

    def answers(_: float) -> bool:
        import httpx

        try:
            return httpx.get(url, timeout=_SECONDS, trust_env=False).status_code < httpx.codes.INTERNAL_SERVER_ERROR
        except httpx.HTTPError:
            return False

    return answers


def listens_on(path: Path) -> Ready:
    """Return a function that checks whether a server listens on the Unix socket with this path."""

    def listens(_: float) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_SECONDS)
            return probe.connect_ex(str(path)) == 0

    return listens


def daemon_beats(dagster_url: str) -> Ready:
    """Return a function that checks whether every part of Dagster's daemon has sent a heartbeat since its start.

    The daemon has no address. The daemon writes its heartbeats to the database, and Dagster's webserver shows the
    heartbeats. A heartbeat of an earlier daemon does not count.
    """

    def beats(since: float) -> bool:
        import httpx

        try:
            reply = httpx.post(f"{dagster_url}/graphql", json=_DAEMON, timeout=_SECONDS, trust_env=False)
            statuses = reply.json()["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
            required = [status["lastHeartbeatTime"] or 0 for status in statuses if status["required"]]
            return bool(required) and min(required) >= since
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False

    return beats
