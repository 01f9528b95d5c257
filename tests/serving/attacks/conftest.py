"""Run the service as a process of its own, and watch its memory and `/health` while a test attacks it."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

KEY = "key-of-the-tests-0123456789"

BUDGET_MIB = 1024
"""How much more memory than at rest the service may take, its child processes included. docs/service.md states it."""
HEALTH_S = 1.0
"""The longest that `/health` may take."""
_PROCESS_START_S = 120


@dataclass
class Watched:
    """What was seen during an attack: the most memory, and each time that `/health` took."""

    at_rest: int
    most: int = 0
    health_s: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


class Attacked:
    """A running service, with what a client needs to attack it."""

    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = psutil.Process(process.pid)
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, timeout=120, trust_env=False, headers={"X-API-Key": KEY})

    def memory(self) -> int:
        """Return the resident bytes of the service and of its child processes."""
        total = self.process.memory_info().rss
        for child in self.process.children(recursive=True):
            try:
                total += child.memory_info().rss
            except psutil.NoSuchProcess:  # The child has ended.
                continue
        return total

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
    def watched(self) -> Iterator[Watched]:
        """Watch the service during the `with` block. At the end, check the memory, `/health`, and a good picture."""
        seen = Watched(self.memory())
        stop = threading.Event()
        watchers = [threading.Thread(target=watch, args=(seen, stop)) for watch in (self._weigh, self._ask_health)]
        for watcher in watchers:
            watcher.start()
        try:
            yield seen
        finally:
            stop.set()
            for watcher in watchers:
                watcher.join()
        grown = (seen.most - seen.at_rest) / 2**20
        print(
            f"\nmemory +{grown:.0f} MiB; /health asked {len(seen.health_s)} times, longest {max(seen.health_s):.2f} s"
        )
        assert grown < BUDGET_MIB
        assert seen.failures == []
        assert max(seen.health_s) < HEALTH_S

    def _weigh(self, seen: Watched, stop: threading.Event) -> None:
        while not stop.wait(0.01):
            seen.most = max(seen.most, self.memory())

    def _ask_health(self, seen: Watched, stop: threading.Event) -> None:
        while True:
            started = time.perf_counter()
            try:  # Each request uses a new connection, as those of a load balancer may.
                reply = httpx.get(f"{self.url}/health", timeout=30, trust_env=False)
                if reply.status_code != 200:
                    seen.failures.append(reply.text)
            except httpx.HTTPError as error:
                seen.failures.append(repr(error))
            seen.health_s.append(time.perf_counter() - started)
            if stop.wait(0.05):
                return


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
    """A running service that has scored a few pictures. All attacks share it."""
    with start() as service:
        for seed in range(4):
            assert service.upload(draw(seed), draw(seed + 50)).status_code == 200
        yield service


@pytest.fixture
def under_attack(attacked: Attacked, draw: Callable[..., bytes]) -> Iterator[Attacked]:
    """The service, watched during the test. After the test, it must score a good picture as before."""
    before = attacked.upload(draw(1), draw(2)).json()["thumbnails"]
    with attacked.watched():
        yield attacked
    assert attacked.upload(draw(1), draw(2)).json()["thumbnails"] == before
