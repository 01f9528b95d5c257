"""Send requests to a service from many clients without a pause.

Each answer contains the ids of the releases that the service used. Check that the answer agrees with these releases.
"""

import http.client
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil

BOUNDARY = "boundary-of-the-long-run"


@dataclass(frozen=True)
class Question:
    """A request: a title and two pictures. `known` has their positions in the list of all pictures."""

    known: tuple[int, int]
    title: str
    body: bytes


def question(pictures: list[bytes], known: tuple[int, int], title: str, added: bytes = b"") -> Question:
    """Return the request for two pictures.

    `added` is appended to both files. The longer files show the same pictures, but no cache contains their bytes.
    """
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="title"\r\n\r\n{title}\r\n'.encode()]
    for number in known:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="thumbnails"; filename="p{number}.jpg"\r\n\r\n'
        parts += [head.encode(), pictures[number], added, b"\r\n"]
    return Question(known, title, b"".join([*parts, f"--{BOUNDARY}--\r\n".encode()]))


@dataclass
class Tally:
    """What all clients together have counted. `wrong` lists the wrong answers, and the requests that failed twice."""

    answered: int = 0
    retried: int = 0
    wrong: list[str] = field(default_factory=list)
    releases: Counter[tuple[str, str]] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


class Clients:
    """Clients that send requests without a pause until `stop` is called. A failed request is immediately sent a second
    time.
    """

    def __init__(
        self, port: int, key: str, ask: Callable[[int], Question], check: Callable[[Question, Any], str | None]
    ) -> None:
        self.tally = Tally()
        self._port = port
        self._headers = {"X-API-Key": key, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        self._ask = ask
        self._check = check
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, count: int) -> None:
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive()

    def wait_until_answered(self, count: int) -> None:
        """Wait until the clients together have got `count` answers since they started."""
        last, since = -1, time.monotonic()
        while self.tally.answered < count:
            if self.tally.answered != last:
                last, since = self.tally.answered, time.monotonic()
            assert time.monotonic() - since < 120, f"no answer for two minutes; {self.tally.wrong[:3]}"
            assert len(self.tally.wrong) < 20, self.tally.wrong[:3]
            time.sleep(0.02)

    def _run(self) -> None:
        connection = self._connection()
        while not self._stopped.is_set():
            asked = self._ask(next(self._numbers))
            started, retried = time.monotonic(), 0
            status, text = self._send(connection, asked)
            if status != 200:
                connection.close()
                connection, retried = self._connection(), 1
                status, text = self._send(connection, asked)
            took = time.monotonic() - started
            answer = json.loads(text) if status == 200 else None
            wrong = f"{status}: {text[:300]!r}" if answer is None else self._check(asked, answer)
            with self._lock:
                self.tally.answered += 1
                self.tally.retried += retried
                self.tally.seconds.append(took)
                if wrong is not None:
                    self.tally.wrong.append(wrong)
                if answer is not None:
                    self.tally.releases[answer["releases"]["model"], answer["releases"]["index"]] += 1
        connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)

    def _send(self, connection: http.client.HTTPConnection, asked: Question) -> tuple[int, bytes]:
        """Return the status and the body of the answer. The status is 0 if the connection broke."""
        try:
            connection.request("POST", "/v1/score", asked.body, self._headers)
            reply = connection.getresponse()
            return reply.status, reply.read()
        except (OSError, http.client.HTTPException) as error:
            return 0, repr(error).encode()


def workers_of(service: psutil.Process) -> list[psutil.Process]:
    """Return the worker processes of a service. Python's resource tracker, which is also a child process, is left out."""
    workers = []
    for child in service.children():
        with suppress(psutil.NoSuchProcess):  # The worker has ended.
            if "resource_tracker" not in " ".join(child.cmdline()):
                workers.append(child)
    return workers


def proportional_bytes(service: psutil.Process) -> int:
    """Return the memory of a service with its child processes. Memory that processes share is counted once (PSS)."""
    total = 0
    for process in [service, *service.children(recursive=True)]:
        try:
            total += process.memory_full_info().pss
        except psutil.NoSuchProcess:  # The process has ended.
            continue
    return total
