"""Check the servers of `thumblab up`.

While `up` runs, the servers must answer. Otherwise, the ports of the servers must be free.
"""

from collections.abc import Iterator
from dataclasses import asdict
from urllib.parse import urlsplit

import httpx
import psutil

from thumblab_cli.demo.one_demo import demo_on
from thumblab_cli.doctor.examined import Examined
from thumblab_cli.doctor.finding import Finding, error, fine, warning
from thumblab_core.errors import LabError
from thumblab_core.running import Running, running_lab

_SECONDS = 3.0
_HEALTH = {"dagster": "/server_info", "mlflow": "/health", "scoring": "/health"}


def servers(examined: Examined) -> Iterator[Finding]:
    """Send a request to each server of the running `thumblab up`. If `up` does not run, check that `up` can start."""
    running = running_lab(examined.settings.data_dir)
    if running is None:
        # The demo's own MLflow listens on the port that `up` would use. This is no fault.
        demo = demo_on(examined.settings.data_dir)
        yield from (
            _ports(examined) if demo is None else [fine(f"{demo}; `{examined.up()}` can start when it has ended")]
        )
        return
    faults = [finding for name, url in asdict(running).items() for finding in _silent(examined, name, url)]
    yield from faults
    if not faults:
        yield fine(
            f"`{examined.up()}` runs: Dagster {running.dagster}, MLflow {running.mlflow}, page {running.scoring}"
        )


def _silent(examined: Examined, name: str, url: str) -> Iterator[Finding]:
    log = f"{examined.up(f'logs {name}')} says why"
    mend = f"{log}; `{examined.up()}` restarts the server by itself"
    try:
        with httpx.Client(base_url=url, timeout=_SECONDS, trust_env=False) as client:
            status = client.get(_HEALTH[name]).status_code
            ready = client.get("/ready") if name == "scoring" and status == httpx.codes.OK else None
    except (httpx.HTTPError, httpx.InvalidURL) as problem:
        yield error(f"{name} does not answer at {url} ({type(problem).__name__})", mend)
        return
    if status != httpx.codes.OK:
        yield error(f"{name} answers with status {status} at {url}", mend)
    elif ready is not None and ready.status_code != httpx.codes.OK:
        mend = f"follow the advice in the line above, or wait while the service loads; {log}"
        yield warning(f"the scoring service cannot answer yet: {_reason(ready)}", mend)


def _reason(ready: httpx.Response) -> str:
    try:
        return str(ready.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"status {ready.status_code}"


def _ports(examined: Examined) -> Iterator[Finding]:
    from thumblab_cli.servers import lab_servers, ports

    chosen = examined.settings
    try:
        ports.refuse_unusable("scoring", chosen.serving_host, 0)
    except LabError as problem:
        yield error(str(problem), "correct THUMBLAB_SERVING_HOST")
        return
    planned = ports.plan_ports(chosen)
    scoring = lab_servers.scoring_server(chosen, planned.scoring)
    urls = Running(lab_servers.dagster_url(planned.dagster), lab_servers.mlflow_url(planned.mlflow), str(scoring.url))
    taken = False
    for name, url in asdict(urls).items():
        try:
            ports.refuse_taken(name, url)
        except LabError as problem:
            taken = True
            yield error(f"{problem}{_listener(url)}", "stop that program, or give the server another port")
    if taken:
        return
    try:
        ports.refuse_unusable("scoring", chosen.serving_host, planned.scoring)
    except LabError as problem:
        yield error(str(problem), "set THUMBLAB_SERVING_PORT to another port")
    else:
        moved = [f"{port} is taken{_listener(f'http://127.0.0.1:{port}')}" for port in planned.moved.values()]
        use = f"`{examined.up()}` would use {planned.dagster}, {planned.mlflow} and {planned.scoring}"
        yield fine("; ".join([*moved, use]))


def _listener(url: str) -> str:
    """Return the name of the program that listens at the URL, or an empty text if the system hides it."""
    port = urlsplit(url).port
    try:
        listening = [c for c in psutil.net_connections("tcp") if c.status == psutil.CONN_LISTEN and c.laddr]
        found = {c.pid for c in listening if tuple(c.laddr)[1] == port}
        names = [f"{psutil.Process(pid).name()}, process {pid}" for pid in found if pid is not None]
    except (psutil.Error, OSError):
        return ""
    return f" ({names[0]})" if names else ""
