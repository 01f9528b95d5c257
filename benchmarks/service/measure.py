"""Measure how long the scoring service takes to answer. Compare the service with a plain handler, and with the same
work without a server.

    python -m benchmarks.service.measure [--encoder ViT-B-32] [--clients 1 8 32] [--rounds 5] [--pause 0]

Each request has a title and two thumbnails of 1280x720 pixels. All servers run at the same time. The servers get
requests in turn, so that other programs on the machine slow down all servers equally. The weights are random, because
the time does not depend on the weights. Six measurements are compared:

- *bare*: decode, encode, search and rank in one thread, with the functions of the lab, without a server;
- *obvious*: `obvious.py`, one handler that does the same with open_clip, PIL, faiss and a linear model;
- *uncached*: the service, which caches no vectors but has measured the sub-scores before;
- *cached*: the service, with pictures that it has scored before;
- *two workers*: as *cached*, with two processes that share the cores and the connections;
- *new*: the service, with pictures that it has never seen. The service also measures the sub-scores of these pictures.

The overhead of the service is the time of *uncached* with one client, divided by the time of *bare*, minus 1. Other
programs on the machine change these times. The second table has the processor time of a request in all processes of a
server, which other programs hardly change. The column *client* has the processor time of a *cached* request in the
process that sends it. The third table has the requests that were answered in a second.

Without `--pause`, a client sends its next request as soon as it has an answer. So several clients always use all cores,
and mostly wait for each other. With `--pause 0.25`, a client waits about 0.25 s before each request. The table does not
include this wait.
"""

import argparse
import http.client
import os
import random
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.service.lab import KEY, MOST_CLIENTS, NICHE, TITLE, VIT, make_lab, thumbnails
from thumblab_core.encoders.load import image_encoder, title_encoder
from thumblab_core.images import decode
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release import ALL, INDEX, MODEL
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings

CLIENTS, ROUNDS = (1, 8, 32), 5
_PICTURES = 16
_PER_ROUND = 24
"""The number of requests in a round. Several clients share these requests, but each client sends at least one request.
"""
_NEW_PER_ROUND = 6
_SIDES = ("bare", "obvious", "uncached", "cached", "two workers", "new")
_BOUNDARY = "boundary-of-the-benchmark"
_HEADERS = {"X-API-Key": KEY, "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
_START_S = 180


@dataclass(frozen=True)
class Server:
    """A running server of this benchmark."""

    port: int
    process: psutil.Process

    def used(self) -> float:
        """Return the seconds of processor time that the server and its workers have used."""
        times = [process.cpu_times() for process in (self.process, *self.process.children(recursive=True))]
        return float(sum(time.user + time.system for time in times))


@dataclass
class Seconds:
    """The times, in seconds, of all requests of one kind that a fixed number of clients sent. `waited` has the waiting
    time of each request. `used` is the processor time of all requests together, and `used_by_client` is the processor
    time of the process that sent them. `passed` is the time until all requests were answered.
    """

    waited: list[float] = field(default_factory=list)
    used: float = 0.0
    used_by_client: float = 0.0
    passed: float = 0.0

    @property
    def median(self) -> float:
        return statistics.median(self.waited)

    @property
    def used_by_one(self) -> float:
        return self.used / len(self.waited)

    @property
    def used_by_one_client(self) -> float:
        return self.used_by_client / len(self.waited)

    @property
    def answered_in_a_second(self) -> float:
        return len(self.waited) / self.passed


def body_of(pictures: Sequence[bytes]) -> bytes:
    """Return the body of a request for two pictures."""
    fields = {"title": TITLE, "category": NICHE}
    parts = [
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    for number, picture in enumerate(pictures):
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="thumbnails"; filename="{number}.jpg"\r\n\r\n'
        parts += [head.encode(), picture, b"\r\n"]
    return b"".join([*parts, f"--{_BOUNDARY}--\r\n".encode()])


@contextmanager
def running(module: str, *arguments: str) -> Iterator[Server]:
    """Run a server of this benchmark in its own process. Yield the server when it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder, encoder, *rest = arguments
    command = [sys.executable, "-m", f"benchmarks.service.{module}", folder, encoder, str(port), *rest]
    ready = ("/ready" if module == "served" else "/openapi.json", b"")
    if "two" in rest:
        ready = ("/metrics", b'thumblab_workers{state="ready"} 2.0')
    # `python -m thumblab_serving` sets this variable too, see `thumblab_serving.__main__.use_one_blas_thread`.
    environment = os.environ | ({"OPENBLAS_NUM_THREADS": "1"} if module == "served" else {})
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            deadline = time.monotonic() + _START_S
            while not _answers(port, *ready):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{module} did not start")
                time.sleep(0.2)
            yield Server(port, psutil.Process(process.pid))
        finally:
            process.terminate()


def _answers(port: int, path: str, part: bytes) -> bool:
    """Return whether a server answers a request with status 200, and with `part` in the body."""
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status == 200 and part in reply.read()
    except OSError:
        return False


def ask(server: Server, bodies: Sequence[bytes], clients: int, into: Seconds, pause: float = 0.0) -> None:
    """Send the requests from several clients at the same time, and add the seconds of the requests to `into`.

    Before each request, a client waits from 0.5 to 1.5 times `pause` seconds.
    """
    waiting, lock, seconds, before = list(bodies), threading.Lock(), list[float](), server.used()
    client_before, began = time.process_time(), time.perf_counter()
    errors: list[str] = []

    def run() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
        while True:
            with lock:
                if not waiting:
                    return
                body = waiting.pop()
            time.sleep(pause * random.uniform(0.5, 1.5))
            start = time.perf_counter()
            connection.request("POST", "/v1/score", body, _HEADERS)
            reply = connection.getresponse()
            text = reply.read()
            seconds.append(time.perf_counter() - start)
            if reply.status != 200:
                errors.append(f"status {reply.status}: {text[:500]!r}")
                return

    threads = [threading.Thread(target=run) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise RuntimeError(f"{len(errors)} clients stopped at a request that failed; the first error: {errors[0]}")
    if len(seconds) != len(bodies):
        raise RuntimeError(f"{len(bodies) - len(seconds)} of {len(bodies)} requests got no answer")
    into.waited += seconds
    into.passed += time.perf_counter() - began
    into.used_by_client += time.process_time() - client_before
    into.used += server.used() - before


def bare_work(settings: Settings) -> Callable[[Sequence[bytes]], object]:
    """Return a function that does the work of an answer for two pictures, without a server and without checks of the
    request.
    """
    from thumblab_core.ranking.trained_ranker import TrainedRanker

    store = ReleaseStore(settings.releases)
    index, model = store.serving.current(INDEX, NICHE), store.serving.current(MODEL, ALL)
    assert index is not None
    assert model is not None
    library, ranker = NicheIndex.load(index), TrainedRanker.load(model)
    images, titles = image_encoder(settings), title_encoder(settings.title_encoder)
    title = titles.encode_texts([TITLE])

    def work(pictures: Sequence[bytes]) -> object:
        vectors = np.concatenate([images.encode_prepared([images.prepare(decode(data).pixels)]) for data in pictures])
        found = [library.search(vector, 200) for vector in vectors]
        return found, ranker.predict(vectors, np.repeat(title, len(vectors), axis=0), [TITLE] * len(vectors))

    return work


def measure(encoder: str, clients: Sequence[int], rounds: int, pause: float, console: Console) -> None:
    """Print the median time of a request, and the processor time, for each number of clients and each kind of work."""
    pictures = thumbnails(_PICTURES)
    pairs = [(pictures[n], pictures[(n + 5) % _PICTURES]) for n in range(_PICTURES)]
    known = [body_of(pair) for pair in pairs]
    seconds: defaultdict[tuple[str, int], Seconds] = defaultdict(Seconds)
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="thumblab-bench-"))
        settings = make_lab(Path(folder), encoder)
        work = bare_work(settings)
        servers = {
            "obvious": stack.enter_context(running("obvious", folder, encoder)),
            "uncached": stack.enter_context(running("served", folder, encoder, "uncached")),
            "cached": stack.enter_context(running("served", folder, encoder)),
            "two workers": stack.enter_context(running("served", folder, encoder, "two")),
        }
        for server in servers.values():
            ask(server, known * 3, 6, Seconds())  # If there are two workers, both get each picture.
        for pair in pairs[:4]:
            work(pair)
        for number in range(rounds):
            console.print(f"round {number + 1} of {rounds}, load average {os.getloadavg()[0]:.1f}", style="dim")
            for n in range(_PER_ROUND):
                start, used = time.perf_counter(), time.process_time()
                work(pairs[n % _PICTURES])
                seconds["bare", 1].waited.append(time.perf_counter() - start)
                seconds["bare", 1].used += time.process_time() - used
            seconds["bare", 1].passed = sum(seconds["bare", 1].waited)
            for count in clients:
                asked = [known[n % _PICTURES] for n in range(max(_PER_ROUND, 2 * count))]
                for side, server in servers.items():
                    ask(server, asked, count, seconds[side, count], pause)
                fresh = [body_of([data + secrets.token_bytes(9) for data in pair]) for pair in pairs[:_NEW_PER_ROUND]]
                ask(servers["cached"], fresh, count, seconds["new", count], pause)
    title = f"Two thumbnails of 1280x720, {encoder}" + (f", a pause of {pause:g} s" if pause else "")
    console.print(_table(f"{title}, median milliseconds", clients, {k: v.median for k, v in seconds.items()}))
    used = {("client", count): seconds["cached", count].used_by_one_client for count in clients}
    used |= {key: found.used_by_one for key, found in seconds.items()}
    console.print(_table(f"{title}, processor milliseconds", clients, used))
    console.print(_rates(f"{title}, requests per second", clients, seconds))


def _rates(title: str, clients: Sequence[int], seconds: dict[tuple[str, int], Seconds]) -> Table:
    table = Table("clients", *_SIDES, title=title, title_justify="left", box=SIMPLE_HEAD)
    for count in clients:
        found = [seconds.get((side, count)) for side in _SIDES]
        table.add_row(str(count), *("" if of is None else f"{of.answered_in_a_second:.1f}" for of in found))
    return table


def _table(title: str, clients: Sequence[int], seconds: dict[tuple[str, int], float]) -> Table:
    """Return a table of `seconds` in milliseconds: a row for each number of clients, a column for each kind of work.

    `seconds` has the time of a request by its kind of work and the number of clients.
    """
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    sides = [side for side in (*_SIDES, "client") if any(side == of for of, _ in seconds)]
    columns = ("clients", *sides, "overhead", "uncached/obvious", "cached/obvious")
    for column in columns:
        table.add_column(column, justify="right")
    for count in clients:
        times = [f"{1000 * seconds[side, count]:.1f}" if (side, count) in seconds else "" for side in sides]
        overhead = f"{seconds['uncached', 1] / seconds['bare', 1] - 1:+.0%}" if count == 1 else ""
        ratios = [f"{seconds[side, count] / seconds['obvious', count]:.2f}" for side in ("uncached", "cached")]
        table.add_row(str(count), *times, overhead, *ratios)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service.measure", description=__doc__)
    parser.add_argument("--encoder", choices=[VIT, "builtin"], default=VIT, help="image encoder (default: ViT-B-32)")
    parser.add_argument(
        "--clients",
        nargs="+",
        type=int,
        default=list(CLIENTS),
        help=f"numbers of clients, at most {MOST_CLIENTS} (default: 1 8 32)",
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="number of rounds (default: 5)")
    parser.add_argument(
        "--pause", type=float, default=0.0, help="seconds that a client waits before a request (default: %(default)s)"
    )
    options = parser.parse_args()
    measure(options.encoder, options.clients, options.rounds, options.pause, Console())


if __name__ == "__main__":
    main()
