"""Test `/v1/experiments` while the database or the data folder cannot be used.

The service must answer with an RFC 9457 problem (`application/problem+json`) that gives the reason.
"""

import base64
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from leaks import SECRETS
from sqlalchemy import create_engine, make_url, text

from thumblab_serving.loading import database

PASSWORD = SECRETS[-1]
FACTS = {
    "channel_id": "UC" + "a" * 22,
    "video_id": "video_aaaaa",
    "started_on": "2026-11-01",
    "outcome": "inconclusive",
    "variants": [{"title": "One"}, {"title": "Two"}],
}


def unavailable(reply: httpx.Response, kind: str = "no-database") -> str:
    assert reply.status_code == 503, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["type"] == f"urn:thumblab:{kind}"
    assert int(reply.headers["retry-after"]) >= 5
    return str(reply.json()["detail"])


def both(service: Any) -> list[httpx.Response]:
    return [service.client.post("/v1/experiments", json=FACTS), service.client.get("/v1/experiments")]


def test_an_answer_without_a_database_says_so_and_no_database_is_started(new_lab: Any, run: Any) -> None:
    lab = new_lab()
    with run(lab.settings, wait=False) as service:
        for reply in both(service):
            assert unavailable(reply).startswith("experiments need the lab's database, and the database does not run")
        assert service.health()["database"] == {"state": "failed", "reason": "the database does not run"}
        # The service checks the request before it needs the database. The experiment in this request ends before it
        # starts.
        wrong = service.client.post("/v1/experiments", json=FACTS | {"ended_on": "2026-10-01"})
        assert wrong.status_code == 422
    assert not (lab.settings.data_dir / "postgres").exists()


def test_a_database_that_cannot_be_reached_delays_one_request_and_names_no_secret(
    new_lab: Any, run: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # This server accepts connections and never answers.
        lab = new_lab(database_url=f"postgresql://somebody:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/lab")
        with run(lab.settings, wait=False) as service:
            for patience in (4.0, 0.5):
                start = time.monotonic()
                replies = both(service)
                assert time.monotonic() - start < patience
                assert all("the database" in unavailable(reply) for reply in replies)
            assert service.health()["database"]["state"] == "failed"
    texts = [*(reply.text for reply in replies), caplog.text]
    assert not any(secret in shown for shown in texts for secret in (PASSWORD, "somebody"))


def test_a_request_succeeds_once_the_database_is_back(
    new_lab: Any, run: Any, migrated_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = migrated_database()
    name = make_url(url).database
    owner = create_engine(make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT")
    with run(new_lab(database_url=url).settings, wait=False) as service, owner.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        assert all(unavailable(reply) for reply in both(service))
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
        monkeypatch.setattr(database, "_RETRY_SECONDS", 0.0)
        assert [reply.status_code for reply in both(service)] == [201, 200]
    owner.dispose()


def test_a_read_only_role_can_list_and_search_libraries(
    new_lab: Any, run: Any, migrated_database: Callable[[], str]
) -> None:
    url = migrated_database()
    owner = create_engine(url, isolation_level="AUTOCOMMIT")
    name = make_url(url).database
    with owner.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
    with run(new_lab(database_url=url).settings, wait=False) as service:
        added, listed = both(service)
        assert "the database could not answer (ReadOnlySqlTransaction)" in unavailable(added)
        assert listed.status_code == 200
        assert service.health()["database"] == {"state": "fine", "reason": None}
    with owner.connect() as connection:
        connection.execute(text("SET default_transaction_read_only = off"))
        connection.execute(text(f"ALTER DATABASE {name} RESET default_transaction_read_only"))
    owner.dispose()


def test_a_database_without_the_tables_of_the_lab_is_a_problem(
    new_lab: Any, run: Any, new_database: Callable[[], str]
) -> None:
    with run(new_lab(database_url=new_database()).settings, wait=False) as service:
        assert "could not answer (UndefinedTable)" in unavailable(both(service)[0])


def test_a_picture_that_cannot_be_written_is_a_problem_and_nothing_is_stored(
    new_lab: Any, run: Any, draw: Callable[..., bytes], migrated_database: Callable[[], str]
) -> None:
    lab = new_lab(database_url=migrated_database())
    lab.settings.images.parent.mkdir(parents=True, exist_ok=True)
    lab.settings.images.write_text("a file where the folder of pictures should be")
    with run(lab.settings, wait=False) as service:
        pictures = [base64.b64encode(draw(n)).decode() for n in range(2)]
        body = FACTS | {"variants": [{"image_base64": picture} for picture in pictures]}
        reply = service.client.post("/v1/experiments", json=body)
        assert "could not be written to the lab's image store" in unavailable(reply, "not-stored")
        assert service.client.get("/v1/experiments").json()["experiments"] == []
