"""Run the service in a separate process, and watch its memory and `/health` while a test attacks it."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from watcher import resident

KEY = "key-of-the-tests-0123456789"

BUDGET_MIB = 1024
"""The memory in MiB that the service and its child processes may take in addition to their memory at rest.
docs/service.md states this limit.
"""
HEALTH_S = 1.0
"""The longest time in seconds that `/health` may take on an idle machine. If other processes, such as other tests, use
a share of the processor, the limit grows in proportion.
"""
_LEAST_SHARE = 0.05
_PROCESS_START_S = 120
WATCHER = Path(__file__).with_name("watcher.py")


class _CpuShare:
    """Measures the share of the processor that other processes leave to the service and to the test."""

    def __init__(self, service: psutil.Process) -> None:
        self._processes = (service, psutil.Process())
        self._started = time.monotonic()
        self._before = self._used()

    def left(self) -> float:
        """Return the share of the processor, from 0 to 1, that other processes did not use since this object was made."""
        busy, own = (after - before for after, before in zip(self._used(), self._before, strict=True))
        available = (time.monotonic() - self._started) * (os.cpu_count() or 1)
        return 1 - min(1.0, max(0.0, busy - own) / available)

    def _used(self) -> tuple[float, float]:
        """Return the processor seconds that all processes have used, and the seconds that the service and this test
        have used.

        The child processes of the service and of this test are included.
        """
        machine = psutil.cpu_times()
        busy = sum(machine) - machine.idle - getattr(machine, "iowait", 0.0) - getattr(machine, "guest", 0.0)
        return busy, sum(sum(process.cpu_times()[:4]) for process in self._processes)


class Attacked:
    """A running service, with its address and key, for a client that attacks it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = psutil.Process(process.pid)
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, timeout=600, trust_env=False, headers={"X-API-Key": KEY})

    def upload(self, *pictures: bytes, names: list[str] | None = None, title: str = "t") -> httpx.Response:
        names = names or [f"p{number}" for number in range(len(pictures))]
        files = [("thumbnails", (name, data)) for name, data in zip(names, pictures, strict=True)]
        return self.client.post("/v1/score", data={"title": title}, files=files)

    def post(self, body: bytes | Iterator[bytes], kind: str = "application/json") -> httpx.Response:
        return self.client.post("/v1/score", content=body, headers={"Content-Type": kind})

    @contextmanager
    def connection(self, *parts: bytes) -> Iterator[socket.socket]:
        """Open a connection, send `parts`, and close the connection after the `with` block."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as opened:
            opened.sendall(b"".join(parts))
            yield opened

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Watch the service during the `with` block. At the end, check its use of memory and the times of `/health`."""
        at_rest, cpu = resident(self.process), _CpuShare(self.process)
        command = [sys.executable, str(WATCHER), str(self.process.pid), self.url]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watcher:
            assert watcher.stdout is not None
            assert watcher.stdout.readline() == "watching\n"
            try:
                yield
            finally:
                written, _ = watcher.communicate(timeout=60)
        seen = json.loads(written)
        grown, longest, share = (seen["most"] - at_rest) / 2**20, max(seen["health_s"]), cpu.left()
        print(
            f"\nmemory +{grown:.0f} MiB; /health asked {len(seen['health_s'])} times, longest {longest:.2f} s, with "
            f"{share:.0%} of the processor"
        )
        assert grown < BUDGET_MIB
        assert seen["failures"] == []
        assert longest < HEALTH_S / max(share, _LEAST_SHARE)


@pytest.fixture(scope="session")
def attack_lab(lab_at: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a lab with a model and an index."""
    lab = lab_at(tmp_path_factory.mktemp("attacked"))
    lab.promote(lab.index("tech"))
    lab.promote(lab.model())
    return Path(lab.settings.data_dir)


@pytest.fixture(scope="session")
def start(attack_lab: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Return a context manager that runs the service in a new process, with the given settings."""

    @contextmanager
    def started(**settings: object) -> Iterator[Attacked]:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        given = {"data_dir": attack_lab, "api_key": KEY, "image_encoder": "builtin"} | settings
        environment = os.environ | {f"THUMBLAB_{name.upper()}": str(value) for name, value in given.items()}
        log = tmp_path_factory.mktemp("log") / "service.log"
        with log.open("wb") as file:
            command = [sys.executable, "-m", "thumblab_serving", "--port", str(port)]
            process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
        service = Attacked(process, port)
        try:
            deadline = time.monotonic() + _PROCESS_START_S
            while not _is_ready(service):
                assert process.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < deadline, log.read_text()[-2000:]
                time.sleep(0.1)
            yield service
        finally:
            service.client.close()
            process.terminate()
            process.wait(30)

    return started


def _is_ready(service: Attacked) -> bool:
    try:
        return service.client.get("/ready").status_code == 200
    except httpx.ConnectError:
        return False


@pytest.fixture(scope="session")
def attacked(start: Callable[..., Any], draw: Callable[..., bytes]) -> Iterator[Attacked]:
    """A running service that has scored a few pictures. The tests of all attacks share this service."""
    with start() as service:
        for seed in range(4):
            assert service.upload(draw(seed), draw(seed + 50)).status_code == 200
        yield service


@pytest.fixture
def under_attack(attacked: Attacked, draw: Callable[..., bytes]) -> Iterator[Attacked]:
    """The service, watched during the test. After the test, the service must score a good picture as before."""
    before = attacked.upload(draw(1), draw(2)).json()["thumbnails"]
    with attacked.watched():
        yield attacked
    assert attacked.upload(draw(1), draw(2)).json()["thumbnails"] == before
