"""Functions that say whether a server is ready."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

_SECONDS = 5.0
_DAEMON = {"query": "{ instance { daemonHealth { allDaemonStatuses { required lastHeartbeatTime } } } }"}


def answers_at(url: str) -> Callable[[], bool]:
    """Return a function that says whether a server answers at the URL."""

    def answers() -> bool:
        import httpx

        try:
            return httpx.get(url, timeout=_SECONDS, trust_env=False).status_code < httpx.codes.INTERNAL_SERVER_ERROR
        except httpx.HTTPError:
            return False

    return answers


def listens_on(path: Path) -> Callable[[], bool]:
    """Return a function that says whether a server listens on the Unix socket with this path."""

    def listens() -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_SECONDS)
            return probe.connect_ex(str(path)) == 0

    return listens


def daemon_beats(dagster_url: str) -> Callable[[], bool]:
    """Return a function that says whether every part of Dagster's daemon has sent a heartbeat since this call.

    The daemon has no address. The daemon writes its heartbeats to the database, and Dagster's webserver shows them. A
    heartbeat of an earlier daemon does not count.
    """
    since = time.time()

    def beats() -> bool:
        import httpx

        try:
            reply = httpx.post(f"{dagster_url}/graphql", json=_DAEMON, timeout=_SECONDS, trust_env=False)
            statuses = reply.json()["data"]["instance"]["daemonHealth"]["allDaemonStatuses"]
            required = [status["lastHeartbeatTime"] or 0 for status in statuses if status["required"]]
            return bool(required) and min(required) >= since
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False

    return beats
