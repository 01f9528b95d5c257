"""Test `/api/v1/niches` over HTTP: the niches are listed, added, retired and restored, and every route follows at once."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import create_engine, text
from test_http import problem as problem_of

from thumblab_core.keys.named_keys import NamedKeys
from thumblab_core.niches import DEFAULT_NAMES, LARGEST_NICHES

COOKING = {
    "name": "cooking",
    "category_id": 26,
    "region": "AU",
    "language": "en",
    "searches": ["recipe", "meal prep"],
    "channels": ["@chef"],
    "exclude": ["asmr"],
}


@pytest.fixture
def service(with_database: Any, database_url: str) -> Iterator[Any]:
    """The running service. Its niches are those of a new lab."""
    yield with_database
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM niches WHERE number > 7"))
        connection.execute(text("UPDATE niches SET retired_at = NULL"))
    engine.dispose()
    (with_database.lab.settings.data_dir / "niches.json").unlink(missing_ok=True)


def problem(reply: httpx.Response, status: int) -> str:
    """Return the detail of an error answer."""
    return str(problem_of(reply, status)["detail"])


def names(service: Any) -> list[str]:
    return [niche["name"] for niche in service.client.get("/api/v1/niches").json()["niches"]]


def libraries(service: Any) -> list[str]:
    return list(service.client.get("/v1/lab").json()["libraries"])


def wait_for(service: Any, expected: list[str]) -> None:
    """Wait until the service knows these niches. It looks at the list twice a second."""
    deadline = time.monotonic() + 5
    while libraries(service) != expected:
        assert time.monotonic() < deadline, libraries(service)
        time.sleep(0.1)


def score(service: Any, niche: str) -> httpx.Response:
    body = {"title": "T", "category": niche, "thumbnails": [{"id": "a", "url": "https://i.ytimg.com/vi/a/b.jpg"}]}
    reply: httpx.Response = service.client.post("/v1/score", json=body)
    return reply


def test_an_added_niche_is_listed_and_taken_by_every_route_without_a_restart(service: Any) -> None:
    assert names(service) == libraries(service) == list(DEFAULT_NAMES)
    assert problem(score(service, "cooking"), 422).endswith("'beauty' or 'news'")
    added = service.client.post("/api/v1/niches", json=COOKING)
    assert added.status_code == 201, added.text
    assert {name: added.json()[name] for name in COOKING} == COOKING
    wait_for(service, [*DEFAULT_NAMES, "cooking"])
    assert names(service)[-1] == "cooking"
    # The niche is known: the service has no model, which is another problem.
    assert score(service, "cooking").status_code == 503
    assert "no report" in problem(service.client.get("/v1/library/cooking/report"), 404)


def test_a_retired_niche_is_refused_with_the_list_of_the_others_and_can_be_restored(service: Any) -> None:
    retired = service.client.post("/api/v1/niches/gaming/retire")
    assert (retired.status_code, retired.json()["retired_at"] is not None) == (200, True)
    left = [niche for niche in DEFAULT_NAMES if niche != "gaming"]
    wait_for(service, left)
    assert "gaming" not in problem(score(service, "gaming"), 422)
    assert problem(service.client.get("/v1/library/gaming/report"), 404) == (
        f"there is no such niche; use one of {', '.join(left)}"
    )
    assert service.client.post("/api/v1/niches/gaming/restore").json()["retired_at"] is None
    wait_for(service, list(DEFAULT_NAMES))


def test_what_cannot_be_a_niche_is_refused_with_the_reason(service: Any) -> None:
    def refused(status: int, **changes: Any) -> str:
        return problem(service.client.post("/api/v1/niches", json=COOKING | changes), status)

    assert "cannot be the name" in refused(422, name="../up")
    assert "cannot be the name" in refused(422, name="all")
    assert "send at most 10" in refused(422, searches=list("abcdefghijk"))
    assert "would have no videos" in refused(422, category_id=None, searches=[], channels=[])
    assert "there is a niche tech already" in refused(409, name="tech")
    for number in range(LARGEST_NICHES - len(DEFAULT_NAMES)):
        assert service.client.post("/api/v1/niches", json=COOKING | {"name": f"n{number}"}).status_code == 201
    assert "which is the most" in refused(409)
    assert "there is no niche" in problem(service.client.post("/api/v1/niches/Up!/retire"), 404)
    assert "there is no niche 'baking'" in problem(service.client.post("/api/v1/niches/baking/retire"), 404)
    for niche in names(service)[1:]:
        assert service.client.post(f"/api/v1/niches/{niche}/retire").status_code == 200
    assert "tech is the only niche" in problem(service.client.post("/api/v1/niches/tech/retire"), 409)


def test_the_niches_need_a_key_with_the_scope_admin(service: Any) -> None:
    scorer = NamedKeys(service.lab.settings).add("scorer", ["score"])
    for method, path in (("GET", ""), ("POST", ""), ("POST", "/tech/retire"), ("POST", "/tech/restore")):
        url = f"{service.url}/api/v1/niches{path}"
        assert problem(httpx.request(method, url, trust_env=False), 401)
        assert problem(httpx.request(method, url, headers={"X-API-Key": scorer}, trust_env=False), 403)
