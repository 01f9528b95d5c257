"""Run a real Prometheus with the lab's example configuration, and send it queries as a dashboard does."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from real_processes import free_ports, wait_until

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
PROGRAM = shutil.which("prometheus")

_TARGET, _INTERVAL = '"127.0.0.1:8000"', ": 30s"


@dataclass(frozen=True)
class Prometheus:
    """A running Prometheus. `url` has no slash at its end."""

    url: str

    def ask(self, path: str, **parameters: Any) -> Any:
        """Return the data in an answer of Prometheus's API. If Prometheus refuses the request, the test fails."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, trust_env=False, timeout=30).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def series(self, query: str) -> list[dict[str, str]]:
        """Return the labels of each series that a panel of Grafana draws for the last five minutes."""
        now = time.time()
        found = self.ask("query_range", query=query, start=now - 300, end=now, step=2)["result"]
        return [series["metric"] for series in found]

    def firing(self) -> set[tuple[str, str]]:
        """Return the name and the summary of each firing alert."""
        alerts = self.ask("alerts")["alerts"]
        return {
            (alert["labels"]["alertname"], alert["annotations"]["summary"])
            for alert in alerts
            if alert["state"] == "firing"
        }


@contextmanager
def prometheus(folder: Path, scoring_url: str) -> Iterator[Prometheus]:
    """Run a Prometheus that reads the metrics of a scoring service every two seconds, until the block ends.

    Prometheus uses the configuration in `deploy/prometheus`, but with another target and a shorter interval.
    """
    assert PROGRAM is not None
    folder.mkdir()
    config = (DEPLOY / "prometheus" / "prometheus.yml").read_text()
    assert (config.count(_TARGET), config.count(_INTERVAL)) == (1, 2)
    config = config.replace(_TARGET, f'"{scoring_url.removeprefix("http://")}"').replace(_INTERVAL, ": 2s")
    (folder / "prometheus.yml").write_text(config)
    shutil.copy(DEPLOY / "prometheus" / "rules.yml", folder)
    (port,) = free_ports(1)
    options = [
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, *options], stdout=log, stderr=subprocess.STDOUT)
    running = Prometheus(f"http://127.0.0.1:{port}")

    def scraped() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            return bool(running.series('up{job="thumbnail-lab"} == 1'))
        except (httpx.HTTPError, ValueError):
            return False

    try:
        wait_until(scraped, 60, "Prometheus has read the metrics", 0.5)
        yield running
    finally:
        process.terminate()
        process.wait(30)
