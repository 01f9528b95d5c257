"""Test two workers under load for a long time, while releases are promoted and a worker is killed.

The number of requests is 20,000, or THUMBLAB_TEST_REQUESTS.
"""

import os
import secrets
import signal
import socket
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from long_run import Clients, Question, proportional_bytes, question, workers_of

from thumblab_core.encoders.builtin import BuiltinEncoder
from thumblab_core.encoders.protocol import Vectors
from thumblab_core.images import decode
from thumblab_core.index import Item, NicheIndex
from thumblab_core.releases.release import INDEX
from thumblab_serving.schemas.request import ScoreForm
from thumblab_serving.scoring.intake import Source
from thumblab_serving.scoring.scorer import Scorer

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(5_400)]

REQUESTS = int(os.environ.get("THUMBLAB_TEST_REQUESTS", "20000"))
WARM = REQUESTS // 10
"""Number of requests after which the memory is measured for the first time."""
CLIENTS, INDICES, MODELS, PICTURES, TITLES = 20, 50, 5, 40, 4
NEW_EVERY = 50
"""One of every `NEW_EVERY` requests has pictures that no cache contains."""
KEY = "key-of-the-tests-0123456789"
LIBRARY = 60


@dataclass
class Releases:
    """The releases of a lab, and the values that a correct answer must contain for each picture.

    `built` are the indexes that are not yet published. All video ids of an index begin with the same letters, which
    `prefix` has for each published index. `similarity` has, for each published index, the similarity score of each
    picture. `scores` has the scores for each model release and request.
    """

    lab: Any
    built: list[NicheIndex]
    models: list[Any]
    probes: Vectors
    scores: dict[str, dict[tuple[tuple[int, int], str], list[float]]]
    prefix: dict[str, str] = field(default_factory=dict)
    similarity: dict[str, list[float]] = field(default_factory=dict)

    def publish_index(self) -> Any:
        index = self.built.pop(0)
        info = {"encoder": index.encoder, "dimension": index.dimension, "count": len(index)}
        release = self.lab.store.publish(INDEX, "tech", index.save, info)
        self.prefix[release.release_id] = index.items[0].video_id.partition("-")[0]
        self.similarity[release.release_id] = [index.percentile(vector) for vector in self.probes]
        return release


@pytest.fixture(scope="module")
def pictures(draw):
    return [draw(seed) for seed in range(PICTURES)]


@pytest.fixture(scope="module")
def asked(pictures):
    """Requests for all pictures. Each picture is in one request as the first picture, and in one request as the second."""
    pairs = [(n, (n + 7) % PICTURES) for n in range(PICTURES)]
    return [question(pictures, pair, f"Title {n % TITLES} of the long run") for n, pair in enumerate(pairs)]


@pytest.fixture(scope="module")
def releases(lab_at, tmp_path_factory, pictures, asked, draw):
    lab = lab_at(tmp_path_factory.mktemp("long-run"))
    encoder, random = BuiltinEncoder(), np.random.default_rng(0)
    library = encoder.encode_images([decode(draw(10_000 + n)).pixels for n in range(2 * LIBRARY)])
    probes = encoder.encode_images([decode(data).pixels for data in pictures])
    built = []
    for number in range(INDICES + 1):
        rows = np.sort(random.choice(len(library), LIBRARY, replace=False))
        names = [f"r{number:02d}-{row:07d}" for row in rows]
        items = [Item(name, "A title", "A channel", "https://youtu.be/x", 99.0, 5.0) for name in names]
        built.append(NicheIndex.build(library[rows], items, encoder.fingerprint))
    models: list[Any] = [lab.model(seed=seed) for seed in range(MODELS + 1)]
    made = Releases(lab, built, models, probes, {})
    lab.promote(made.publish_index())
    scorer = Scorer(lab.settings)
    for model in models:
        lab.promote(model)
        made.scores[model.release_id] = {
            (one.known, one.title): [
                thumbnail.score
                for thumbnail in scorer.score(
                    [Source(f"p{n}", data=pictures[n]) for n in one.known],
                    ScoreForm(title=one.title, category="tech"),
                    owner=None,
                ).thumbnails
            ]
            for one in asked
        }
    scorer.close()
    lab.promote(models[0])
    return made


@pytest.fixture(scope="module")
def service(releases, tmp_path_factory):
    """A process with two workers that are ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = {"data_dir": releases.lab.settings.data_dir, "api_key": KEY, "image_encoder": "builtin"}
    environment = os.environ | {f"THUMBLAB_{name.upper()}": str(value) for name, value in given.items()}
    log = tmp_path_factory.mktemp("log") / "service.log"
    with log.open("wb") as file:
        command = [sys.executable, "-m", "thumblab_serving", "--port", str(port), "--workers", "2"]
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file)
    try:
        wait_for(lambda: ready_workers(port) == 2, log)
        yield psutil.Process(process.pid), port, log
    finally:
        process.terminate()
        process.wait(60)


def wait_for(condition, log):
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.05)


def health(port):
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False, timeout=30).json()
    except httpx.TransportError:
        return {"workers": []}


def ready_workers(port):
    return sum(worker["ready"] for worker in health(port)["workers"])


def wrong_in(releases: Releases, asked: Question, answer: Any) -> str | None:
    """Return the fault of an answer, or None. All values must come from the releases that the answer names."""
    model, index = answer["releases"]["model"], answer["releases"]["index"]
    expected = releases.scores[model][asked.known, asked.title]
    for number, thumbnail, score in zip(asked.known, answer["thumbnails"], expected, strict=True):
        if thumbnail["error"] is not None or thumbnail["similarity_source"] != "faiss":
            return f"degraded: {thumbnail['error']}, {answer['degraded']}"
        if abs(thumbnail["score"] - score) > 1e-3:
            return f"the score {thumbnail['score']} is not from the model {model}"
        if abs(thumbnail["similarity_score"] - releases.similarity[index][number]) > 1e-3:
            return f"the similarity is not from the index {index}"
        ids = [neighbour["video_id"] for neighbour in thumbnail["neighbours"]]
        if not ids or not all(video_id.startswith(releases.prefix[index]) for video_id in ids):
            return f"the neighbours {ids} are not from the index {index}"
    return None


def test_two_workers_answer_without_fault_while_releases_move_and_one_is_killed(releases, service, pictures, asked):
    process, port, log = service

    def ask(number: int) -> Question:
        known = asked[number % len(asked)]
        if number % NEW_EVERY:
            return known
        return question(pictures, known.known, known.title, secrets.token_bytes(12))

    clients = Clients(port, KEY, ask, lambda one, answer: wrong_in(releases, one, answer))
    # `promotions` has the releases to promote, in order. None stands for the next index, which is published just before
    # its promotion. A model follows after every tenth index.
    promotions = [None] * INDICES
    for turn, model in enumerate(releases.models[1:]):
        promotions.insert(turn * (INDICES // MODELS + 1) + 5, model)
    followed = []
    clients.start(CLIENTS)
    try:
        clients.wait_until_answered(WARM // 4)
        killed = workers_of(process)[0]
        os.kill(killed.pid, signal.SIGKILL)
        wait_for(lambda: killed not in workers_of(process), log)
        wait_for(lambda: ready_workers(port) == 2, log)
        # The new worker loads the models that read texts and find faces when it measures its first new pictures.
        warm = clients.tally.answered + WARM
        clients.wait_until_answered(warm)
        first = proportional_bytes(process)
        for turn, model in enumerate(promotions):
            clients.wait_until_answered(warm + turn * (REQUESTS - WARM) // len(promotions))
            release = releases.lab.promote(model or releases.publish_index())
            started = time.monotonic()
            wait_for(lambda release=release: serve(port, release) == 2, log)
            followed.append(time.monotonic() - started)
            if release.kind == INDEX:
                releases.lab.store.prune(INDEX, "tech", keep=5)
        clients.wait_until_answered(warm + REQUESTS - WARM)
        last = proportional_bytes(process)
    finally:
        clients.stop()
    seen, tally = clients.tally.releases, clients.tally
    print(
        f"\n{tally.answered:,} requests, {tally.retried} sent twice, {len(tally.wrong)} wrong or failed; "
        f"{len(seen)} pairs of releases; median {statistics.median(tally.seconds) * 1000:.0f} ms; "
        f"all workers followed a release after at most {max(followed):.2f} s (median {statistics.median(followed):.2f}); "
        f"PSS {first / 2**20:.0f} MiB after {WARM:,}, {last / 2**20:.0f} MiB at the end ({last / first - 1:+.1%})"
    )
    assert tally.wrong == []
    assert {model for model, _ in seen} == {model.release_id for model in releases.models}
    assert {index for _, index in seen} == set(releases.prefix)
    assert len(releases.prefix) == INDICES + 1
    assert last < 1.05 * first
    shared = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    assert 'thumblab_workers{state="ready"} 2.0' in shared
    assert any(
        line.startswith('thumblab_cache_lookups_total{cache="looks",found="shared"}') for line in shared.splitlines()
    )


def serve(port, release):
    """Return how many workers serve a release."""
    workers = health(port)["workers"]
    if release.kind == INDEX:
        return sum(worker["indices"].get("tech") == release.release_id for worker in workers)
    return sum(worker["model"] == release.release_id for worker in workers)
