"""Measure the time from the start of a lab without data to an answer that is adapted to a creator's channel.

    python -m benchmarks.service.creators_path [VIDEOS]

The YouTube emulator serves the thumbnails of a channel with VIDEOS videos (default: 300). The benchmark writes an
export of YouTube Studio with these videos, and starts `thumblab up` in an empty folder. The benchmark sends the export
as the page does, waits until the import has ended, and scores three pictures for the channel. For exact times, no other
program should use the machine.
"""

import csv
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from demo.catalogues.source import CatalogueVideo
from demo.catalogues.synthetic import synthetic_catalogue
from demo.emulator import Emulator
from thumblab_core.embedded_postgres.server import stop
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.settings import Settings

VIDEOS = 300
_NICHE = "tech"
_TITLE = "I tested every phone under $200"
_COLUMNS = ("Content", "Video title", "Video publish time", "Duration", "Views", "Impressions")
_CTR = "Impressions click-through rate (%)"
_LONGEST = 1200.0  # The most seconds that the benchmark waits for the end of the import.
_PAUSE = 0.2  # The seconds between two requests for the state of the import.
_ENDED = ("done", "failed")


def write_export(path: Path, videos: Sequence[CatalogueVideo]) -> None:
    """Write a file as YouTube Studio exports it in English. It contains `videos`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow([*_COLUMNS, _CTR])
        for n, video in enumerate(videos):
            day = f"{video.published_at:%b %d, %Y}"
            writer.writerow([video.video_id, video.title, day, 600, video.views, 10 * video.views, f"{3 + n % 5}.5"])


@dataclass(frozen=True)
class Service:
    """A running scoring service, and the API key that it accepts."""

    url: str
    key: str
    process: psutil.Process

    def ask(self, method: str, path: str, **content: Any) -> Any:
        headers = {"X-API-Key": self.key}
        answer = httpx.request(method, self.url + path, headers=headers, timeout=120, trust_env=False, **content)
        if answer.is_error:
            raise SystemExit(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json()

    def cpu_seconds(self) -> float:
        """Return the CPU seconds that `thumblab up` and its children have used, including children that have ended."""
        times = [process.cpu_times() for process in [self.process, *self.process.children(recursive=True)]]
        return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def main(videos: int = VIDEOS) -> None:
    catalogue = synthetic_catalogue(videos * len(DEFAULT_NAMES))
    shown = [video for video in catalogue.videos.values() if video.niche == _NICHE][:videos]
    # If root starts the embedded database, the database runs as another user. So every user must be able to enter the
    # folder.
    with tempfile.TemporaryDirectory() as name, Emulator(catalogue) as emulator:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        export = folder / "Content 2015-01-01_2026-11-26 A channel.csv"
        write_export(export, shown)
        pictures = [catalogue.image(video.video_id) for video in shown[:3]]
        begun = time.monotonic()
        with _lab(folder / "lab", emulator.endpoint) as service:
            table = _timed(service, export, pictures, time.monotonic() - begun)
    Console().print(table)


def _timed(service: Service, export: Path, pictures: Sequence[bytes], started: float) -> Table:
    table = Table(title=f"From an empty lab to an adapted answer: {export.name}", title_justify="left", box=SIMPLE_HEAD)
    table.add_column("step")
    for column in ("wall s", "CPU s, all servers"):
        table.add_column(column, justify="right")
    table.add_row("`thumblab up` (before the path)", f"{started:.1f}", f"{service.cpu_seconds():.1f}")
    first = last = time.monotonic()
    first_cpu = last_cpu = service.cpu_seconds()

    def row(step: str) -> None:
        nonlocal last, last_cpu
        now, cpu = time.monotonic(), service.cpu_seconds()
        if now - last >= _PAUSE or step.startswith("answer"):
            table.add_row(step, f"{now - last:.1f}", f"{cpu - last_cpu:.1f}")
        last, last_cpu = now, cpu

    files = {"exports": (export.name, export.read_bytes())}
    import_id = service.ask("POST", "/v1/channels", data={"niche": _NICHE}, files=files)["id"]
    report: dict[str, Any] = {}
    step = "queued"
    while report.get("state") not in _ENDED and time.monotonic() < first + _LONGEST:
        time.sleep(_PAUSE)
        report = service.ask("GET", f"/v1/channels/runs/{import_id}")
        now_at = report["steps"][-1]["name"] if report["steps"] else "queued"
        if now_at != step:
            row(step)
            step = now_at
    if report["state"] != "done":
        raise SystemExit(f"the import failed: {report}")
    row(step)
    channel = report["imported"]["channel_id"]
    answer = service.ask(
        "POST",
        "/v1/score",
        data={"title": _TITLE, "category": _NICHE, "channel_id": channel},
        files=[("thumbnails", (f"idea-{n}.jpg", data)) for n, data in enumerate(pictures)],
    )
    row(f"answer, adapted: {answer['channel']['adapted']}, verdict: {answer['verdict']}")
    table.add_section()
    table.add_row("all", f"{last - first:.1f}", f"{last_cpu - first_cpu:.1f}")
    return table


@contextmanager
def _lab(data_dir: Path, endpoint: str) -> Iterator[Service]:
    """Run `thumblab up` with the built-in encoder in a new folder. Yield when all servers are ready."""
    dagster, mlflow, serving = _free_ports(3)
    env = {name: value for name, value in os.environ.items() if not name.startswith("THUMBLAB_")}
    env |= {
        "THUMBLAB_DATA_DIR": str(data_dir),
        "THUMBLAB_IMAGE_ENCODER": "builtin",
        "THUMBLAB_YOUTUBE_ENDPOINT": endpoint,
        "THUMBLAB_SERVING_PORT": str(serving),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", "thumblab_cli.main", "up"]
    command += ["--dagster-port", str(dagster), "--mlflow-port", str(mlflow)]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_read, args=(process, lines), daemon=True).start()
    try:
        output: list[str] = []
        while not output or not output[-1].startswith("Ctrl-C"):
            output.append(lines.get(timeout=300))
            if not output[-1]:
                raise SystemExit("`thumblab up` ended:\n" + "".join(output))
        key = next(line for line in output if "#key=" in line).partition("#key=")[2].strip()
        yield Service(f"http://127.0.0.1:{serving}", key, psutil.Process(process.pid))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(90)
        # Stop the database too, which would otherwise run for some more seconds.
        stop(Settings(_env_file=None, data_dir=data_dir))


def _read(process: subprocess.Popen[str], lines: "queue.Queue[str]") -> None:
    """Write every line that the process prints to the queue. When the process has ended, write an empty line."""
    assert process.stdout is not None
    for line in process.stdout:
        lines.put(line)
    lines.put("")


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
