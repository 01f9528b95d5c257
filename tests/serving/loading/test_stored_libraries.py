"""Test the service without an index.

Without an index, the service searches the library in the database. The neighbours and the percentile of a picture are
nearly the same as with an index. If the database does not answer, only the first request waits for it.
"""

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from leaks import SECRETS
from pydantic import SecretStr
from sqlalchemy import create_engine, insert, make_url, text
from stored_library import fill

from thumblab_core.database.tables import library_exclusions
from thumblab_core.database.urls import running_database_url
from thumblab_core.embedded_postgres import server
from thumblab_core.encoders.load import named_image_encoder
from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.images import decode
from thumblab_core.index import NicheIndex
from thumblab_core.settings import Settings
from thumblab_pipelines.library.rows import read_library
from thumblab_serving.loading import database, stored_library
from thumblab_serving.loading.database import ServiceDatabase
from thumblab_serving.loading.stored_library import NothingStoredError, StoredLibraries

PASSWORD = SECRETS[-1]
LIMITS = {name: getattr(database, name) for name in ("_PATIENCE", "_STATEMENT_MS")}


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raise the time limits for the database, because other tests keep the machine busy.

    Tests of the limits themselves use the fixture `limits`.
    """
    for name, limit in LIMITS.items():
        monkeypatch.setattr(database, name, limit * 20)


@pytest.fixture
def limits(patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in LIMITS.items():
        monkeypatch.setattr(database, name, limit)


def vectors(count: int, dimension: int = 32, seed: int = 0) -> Vectors:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((20, dimension))
    return unit(centres[random.integers(0, 20, count)] + random.standard_normal((count, dimension)))


@pytest.fixture
def libraries_at() -> Iterator[Callable[..., StoredLibraries]]:
    made: list[ServiceDatabase] = []

    def make(url: str | None, **settings: Any) -> StoredLibraries:
        secret = None if url is None else SecretStr(url)
        chosen = Settings(database_url=secret, image_encoder="builtin", **settings)
        made.append(ServiceDatabase(chosen))
        return StoredLibraries(made[-1], chosen.library_days)

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def filled(migrated_database: Callable[[], str]) -> str:
    """Return the URL of a database with the libraries of two niches. Each library has 40 videos."""
    url = migrated_database()
    engine = create_engine(url)
    fill(engine, vectors(84), "e")
    engine.dispose()
    return url


@contextmanager
def silent_host() -> Iterator[tuple[str, list[Any]]]:
    """Yield the URL of a server that accepts connections and never answers, and a list that collects its connections."""
    taken: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def accept() -> None:
            try:
                while True:
                    taken.append(listening.accept())
            except OSError:
                return

        threading.Thread(target=accept, daemon=True).start()
        yield f"postgresql://somebody:{PASSWORD}@127.0.0.1:{listening.getsockname()[1]}/lab", taken
        listening.shutdown(socket.SHUT_RDWR)
    for connection, _ in taken:
        connection.close()


@pytest.mark.parametrize("count", [60, 900])
def test_the_database_places_a_picture_like_the_index(open_lab: Any, libraries_at: Any, count: int) -> None:
    lab = open_lab()
    fill(lab.engine, vectors(count), "e", niches=("tech",))
    with lab.engine.begin() as connection:
        connection.execute(insert(library_exclusions).values(video_id="v000003"))
    rows = read_library(lab, "tech", "e")
    index = NicheIndex.build(rows.vectors, rows.items, "e")
    queries = np.concatenate([vectors(12, seed=1), rows.vectors[:3]])
    url = lab.settings.database_url.get_secret_value()
    places = libraries_at(url).placements("tech", "e", queries, 5)
    assert len(rows.items) == count - 5
    # If two pictures have nearly the same cosine, rounding may change their order. The percentile then changes by
    # `step`.
    step = 100 / len(rows.items)
    for place, query in zip(places, queries, strict=True):
        assert place.percentile == pytest.approx(index.percentile(query), abs=step + 1e-9)
        examples = index.examples(query, 5)
        assert all(n.item.winner for n in examples)
        assert [n.item for n in place.examples] == [n.item for n in examples]
        assert [n.similarity for n in place.examples] == pytest.approx([n.similarity for n in examples], abs=1e-5)


@pytest.mark.parametrize("read", [3_000, 1_500])
def test_a_sample_of_the_library_places_a_picture_nearly_the_same(read: int) -> None:
    library, queries = vectors(3_000), vectors(40, seed=1)
    exact = stored_library.similarity_distribution(len(library), library)
    truth = np.sort(_leave_one_out(library, 200))
    some = stored_library.similarity_distribution(len(library), np.random.default_rng(0).permutation(library)[:read])
    assert (exact.count, exact.k, some.k) == (3_000, 200, 200)
    for query in queries:
        mean = np.sort(library @ query)[-200:].mean()
        percentiles = [np.searchsorted(means, mean) / len(means) * 100 for means in (truth, exact.means, some.means)]
        assert percentiles == pytest.approx([percentiles[0]] * 3, abs=6)


def _leave_one_out(library: Vectors, k: int) -> Any:
    similarities = library @ library.T
    np.fill_diagonal(similarities, -np.inf)
    return np.sort(similarities, axis=1)[:, -k:].mean(axis=1)


def test_the_database_answers_for_a_refused_index_and_the_answer_says_so(
    new_lab: Any, run: Any, draw: Any, migrated_database: Callable[[], str]
) -> None:
    url, encoder = migrated_database(), named_image_encoder("builtin", Path())
    engine = create_engine(url)
    fill(engine, encoder.encode_images([decode(draw(n)).pixels for n in range(84)]), encoder.fingerprint)
    engine.dispose()
    lab = new_lab(database_url=url)
    lab.promote(lab.model())
    lab.promote(lab.index("gaming"))
    lab.promote(lab.index("tech", encoder="clip-of-elsewhere"))
    with run(lab.settings) as service:
        answer = service.score(draw(22), draw(1_000), b"no picture")
        good = answer["thumbnails"][:2]
        assert {t["similarity_source"] for t in good} == {"pgvector"}
        assert answer["releases"]["index"] is None
        assert "clip-of-elsewhere" in answer["degraded"][0]
        assert "looked up in the database" in answer["degraded"][0]
        assert not any("default" in sentence for sentence in answer["degraded"])
        nearest = good[0]["neighbours"][0]
        assert (nearest["video_id"], nearest["channel"]) == ("v000022", "Channel c0")
        assert nearest["similarity"] == pytest.approx(1, abs=1e-4)
        assert [len(t["neighbours"]) for t in good] == [5, 5]
        assert good[0]["similarity_score"] != good[1]["similarity_score"]
        assert answer["thumbnails"][2]["similarity_source"] is None
        # beauty has no index, gaming has an index, and news has neither an index nor videos in the database.
        assert service.score(draw(1), category="beauty")["thumbnails"][0]["similarity_source"] == "pgvector"
        assert service.score(draw(1), category="gaming")["thumbnails"][0]["similarity_source"] == "faiss"
        unknown = service.score(draw(1), category="news")
        assert unknown["thumbnails"][0]["similarity_score"] == 50
        assert "the database holds too few thumbnails of news" in unknown["degraded"][1]


def test_without_index_and_database_the_answer_has_the_default_and_both_reasons(
    new_lab: Any, run: Any, draw: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    lab = new_lab(database_url=f"postgresql://somebody:{PASSWORD}@127.0.0.1:{port}/lab")
    lab.promote(lab.model())
    lab.promote(lab.index("gaming"))
    lab.promote(lab.index("tech", encoder="clip-of-elsewhere"))
    with run(lab.settings) as service, caplog.at_level(logging.DEBUG):
        service.score(draw(1), category="gaming")
        assert service.health()["database"] == {"state": "not_asked", "reason": None}
        start = time.monotonic()
        reply = service.upload(draw(1), draw(2))
        assert time.monotonic() - start < 20
        answer = reply.json()
        assert [t["similarity_score"] for t in answer["thumbnails"]] == [50, 50]
        assert {t["similarity_source"] for t in answer["thumbnails"]} == {"default"}
        assert "clip-of-elsewhere" in answer["degraded"][0]
        assert "and the database cannot be reached: every similarity is the default of 50" in answer["degraded"][0]
        assert service.health()["database"] == {"state": "failed", "reason": "the database cannot be reached"}
        texts = [reply.text, service.client.get("/health").text, service.client.get("/metrics").text, caplog.text]
    assert "the database cannot be reached; the next attempt is in" in caplog.text
    assert not any(secret in text_ for text_ in texts for secret in (PASSWORD, "somebody", f"127.0.0.1:{port}"))


def test_a_database_that_never_answers_delays_one_request_by_at_most_three_seconds(
    libraries_at: Any, limits: None, caplog: pytest.LogCaptureFixture
) -> None:
    with silent_host() as (url, taken):
        libraries = libraries_at(url)
        libraries.warm()
        for patience in (3.0, 0.1, 0.1):
            start = time.monotonic()
            with pytest.raises(NothingStoredError, match="the database cannot be reached") as raised:
                libraries.placements("tech", "e", vectors(1), 5)
            assert time.monotonic() - start < patience
            assert PASSWORD not in str(raised.value)
            assert raised.value.__cause__ is None
        assert len(taken) == 1
    assert PASSWORD not in caplog.text


def test_a_statement_that_takes_too_long_is_cancelled(libraries_at: Any, filled: str, limits: None) -> None:
    engine = create_engine(filled)
    libraries = libraries_at(filled)
    libraries.warm()
    with engine.connect() as other:
        other.execute(text("LOCK TABLE embeddings IN ACCESS EXCLUSIVE MODE"))
        start = time.monotonic()
        with pytest.raises(NothingStoredError, match=r"did not answer within 2(\.5)? seconds"):
            libraries.placements("tech", "e", vectors(1), 5)
        assert time.monotonic() - start < 20
    engine.dispose()


def test_a_database_that_recovers_is_asked_again(
    libraries_at: Any, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries, name = libraries_at(filled), make_url(filled).database
    query = vectors(1)
    engine = create_engine(make_url(filled).set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as other:
        end = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :n")
        assert len(libraries.placements("tech", "e", query, 5)) == 1
        other.execute(end, {"n": name})  # The statement ends all connections, as a restart does.
        assert len(libraries.placements("tech", "e", query, 5)) == 1
        other.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        other.execute(end, {"n": name})
        with pytest.raises(NothingStoredError):
            libraries.placements("tech", "e", query, 5)
        other.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        with pytest.raises(NothingStoredError):
            libraries.placements("tech", "e", query, 5)
        monkeypatch.setattr(database, "_RETRY_SECONDS", 0.0)
        assert len(libraries.placements("tech", "e", query, 5)) == 1
    engine.dispose()


def test_a_database_without_the_tables_of_the_lab_has_no_answer(
    libraries_at: Any, new_database: Callable[[], str]
) -> None:
    with pytest.raises(NothingStoredError, match=r"could not answer \(UndefinedTable\)"):
        libraries_at(new_database()).placements("tech", "e", vectors(1), 5)


def test_an_invalid_database_url_is_reported_without_its_text(libraries_at: Any) -> None:
    for url in (f"://{PASSWORD}", f"mysql://u:{PASSWORD}@h/d", f"postgresql://u:{PASSWORD}@h:port/d"):
        with pytest.raises(NothingStoredError, match="THUMBLAB_DATABASE_URL") as raised:
            libraries_at(url).placements("tech", "e", vectors(1), 5)
        assert PASSWORD not in str(raised.value)


def test_the_similarity_distribution_is_computed_once_in_ten_minutes(
    libraries_at: Any, filled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    libraries = libraries_at(filled)
    query = vectors(2)
    computed: list[int] = []
    calibrated = stored_library.similarity_distribution
    monkeypatch.setattr(
        stored_library, "similarity_distribution", lambda count, some: computed.append(count) or calibrated(count, some)
    )
    for _ in range(3):
        libraries.placements("tech", "e", query, 5)
    libraries.placements("beauty", "e", query, 5)
    assert computed == [40, 40]
    monkeypatch.setattr(stored_library, "_KEPT_SECONDS", 0.0)
    libraries._distributions.clear()
    for _ in range(2):
        libraries.placements("tech", "e", query, 5)
    assert computed == [40] * 4


@pytest.mark.slow
def test_the_embedded_server_is_asked_while_it_runs_and_never_started(tmp_path: Path, libraries_at: Any) -> None:
    folder = tmp_path / "lab"
    libraries = libraries_at(None, data_dir=folder)
    with pytest.raises(NothingStoredError, match="the database does not run"):
        libraries.placements("tech", "e", vectors(1), 5)
    assert not folder.exists()
    script = (
        "from thumblab_core.database.schema import migrate\n"
        "from thumblab_core.database.urls import database_url\n"
        "from thumblab_core.embedded_postgres import server\n"
        "from thumblab_core.settings import settings\n"
        "server.start(settings(), keep=True)\n"
        "migrate(database_url())"
    )
    settings = Settings(data_dir=folder)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script], env={"THUMBLAB_DATA_DIR": str(folder), "PATH": "/usr/bin:/bin"}
        )
        assert done.returncode == 0
        url = running_database_url(settings)
        assert url is not None
        engine = create_engine(url)
        fill(engine, vectors(50), "e", niches=("tech",))
        engine.dispose()
        assert len(libraries.placements("tech", "e", vectors(1), 5)) == 1
        assert server.stop(settings, force=True)
        start = time.monotonic()
        with pytest.raises(NothingStoredError, match="the database does not run"):
            libraries.placements("tech", "e", vectors(1), 5)
        assert time.monotonic() - start < 15
        assert not server.status(settings).running
    finally:
        server.stop(settings, force=True)
