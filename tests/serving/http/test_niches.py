"""Test `/api/v1/niches` over HTTP. Niches are listed, added, changed, retired, restored and proposed.

All other routes must know a changed niche immediately.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import create_engine, insert, text
from test_http import problem as problem_of

from thumblab_core.database.tables import channels, embeddings, videos
from thumblab_core.encoders.load import title_encoder
from thumblab_core.keys.named_keys import NamedKeys
from thumblab_core.niches import DEFAULT_NAMES, LARGEST_NICHES, Niche
from thumblab_core.niches.cost import daily_cost

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
    """The running service. After each test, its niches are again those of a new lab."""
    yield with_database
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM niches WHERE number > 7"))
        connection.execute(text("UPDATE niches SET retired_at = NULL"))
    engine.dispose()
    (with_database.lab.settings.data_dir / "niches.json").unlink(missing_ok=True)


def problem(reply: httpx.Response, status: int) -> str:
    """Return the field `detail` of an error answer."""
    return str(problem_of(reply, status)["detail"])


def names(service: Any) -> list[str]:
    return [niche["name"] for niche in service.client.get("/api/v1/niches").json()["niches"]]


def listed(service: Any, name: str) -> Any:
    """Return the entry of a niche in the list of niches."""
    return next(niche for niche in service.client.get("/api/v1/niches").json()["niches"] if niche["name"] == name)


def libraries(service: Any) -> list[str]:
    return list(service.client.get("/v1/lab").json()["libraries"])


def wait_for(service: Any, expected: list[str]) -> None:
    """Wait until the service knows exactly the niches `expected`. The service reads the niches twice a second."""
    deadline = time.monotonic() + 60
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
    # The service knows the niche. It answers with 503 only because it has no model.
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
    assert "more are not allowed" in refused(409)
    assert "there is no niche" in problem(service.client.post("/api/v1/niches/Up!/retire"), 404)
    assert "there is no niche 'baking'" in problem(service.client.post("/api/v1/niches/baking/retire"), 404)
    for niche in names(service)[1:]:
        assert service.client.post(f"/api/v1/niches/{niche}/retire").status_code == 200
    assert "tech is the only niche" in problem(service.client.post("/api/v1/niches/tech/retire"), 409)


def test_the_niches_need_a_key_with_the_scope_admin(service: Any) -> None:
    scorer = NamedKeys(service.lab.settings).add("scorer", ["score"])
    for method, path in (
        ("GET", ""),
        ("POST", ""),
        ("PUT", "/tech"),
        ("POST", "/tech/retire"),
        ("POST", "/tech/restore"),
        ("POST", "/proposals"),
    ):
        url = f"{service.url}/api/v1/niches{path}"
        assert problem(httpx.request(method, url, trust_env=False), 401)
        assert problem(httpx.request(method, url, headers={"X-API-Key": scorer}, trust_env=False), 403)


def test_a_dry_run_shows_the_niche_and_its_cost_and_stores_nothing(service: Any) -> None:
    asked = COOKING | {"channels": ["https://www.youtube.com/@Chef", "@chef"], "searches": [" recipe ", "meal prep"]}
    shown = service.client.post("/api/v1/niches", json=asked | {"dry_run": True})
    assert shown.status_code == 200, shown.text
    assert {name: shown.json()[name] for name in COOKING} == COOKING
    assert (shown.json()["added_at"], shown.json()["version"], shown.json()["videos"]) == (None, 1, 0)
    settings = service.lab.settings
    cost = daily_cost(Niche(**COOKING), settings)
    assert shown.json()["cost"] == {
        "searches": cost.searches,
        "quota_searches": settings.quota_searches,
        "units": cost.units,
        "quota_units": settings.quota_units,
        "first_units": cost.first_units,
    }
    assert (cost.searches, "cooking" in names(service)) == (2, False)
    added = service.client.post("/api/v1/niches", json=asked)
    assert (added.status_code, added.json()["cost"]) == (201, shown.json()["cost"])
    # A dry run must be refused for the same reason as a real addition.
    assert "there is a niche cooking already" in problem(
        service.client.post("/api/v1/niches", json=asked | {"dry_run": True}), 409
    )


def test_a_change_names_the_version_that_it_changes(service: Any) -> None:
    read = service.client.post("/api/v1/niches", json=COOKING).json()
    changed = {"version": read["version"], "searches": ["soup"], "category_id": 26}
    url = "/api/v1/niches/cooking"
    shown = service.client.put(url, json=changed | {"dry_run": True}).json()
    assert (shown["searches"], shown["cost"]["searches"], shown["version"]) == (["soup"], 1, 1)
    assert listed(service, "cooking") == read
    stored = service.client.put(url, json=changed)
    assert (stored.status_code, stored.json()["searches"], stored.json()["channels"]) == (200, ["soup"], [])
    assert (stored.json()["version"], stored.json()["added_at"]) == (2, read["added_at"])
    for dry_run in (False, True):
        late = problem(service.client.put(url, json=changed | {"searches": ["pie"], "dry_run": dry_run}), 409)
        assert "somebody else has changed cooking" in late
        assert "searches: soup" in late
    assert listed(service, "cooking") == stored.json()


def test_a_change_to_what_cannot_be_is_refused_with_the_reason(service: Any) -> None:
    service.client.post("/api/v1/niches", json=COOKING)

    def refused(status: int, name: str = "cooking", **changes: Any) -> str:
        body = {"version": 1, "searches": ["soup"]} | changes
        return problem(service.client.put(f"/api/v1/niches/{name}", json=body), status)

    assert "would have no videos" in refused(422, searches=[])
    assert "not a country code" in refused(422, region="au")
    assert "there is no niche 'baking'; the niches are tech," in refused(404, name="baking")
    assert "there is no niche 'Up!'" in refused(404, name="Up!")
    assert "version" in refused(422, version=None)


def test_a_proposal_comes_from_channels_of_the_lab(service: Any, database_url: str) -> None:
    encoder = title_encoder(service.lab.settings.title_encoder).fingerprint
    now = datetime(2026, 11, 1, tzinfo=UTC)
    facts = {"niche": "tech", "published_at": now, "refreshed_at": now, "tags": [], "source": "youtube"}
    titles = {"v0": "Soup recipe for two", "v1": "Soup recipe with peas", "v2": "Phone review"}
    channel_of = {"v0": "c0", "v1": "c0", "v2": "c1"}
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(insert(channels), [{"channel_id": name, "title": name} for name in ("c0", "c1")])
        for video_id, title in titles.items():
            row = facts | {"video_id": video_id, "channel_id": channel_of[video_id], "title": title}
            connection.execute(insert(videos).values(row))
            vector = np.eye(384, dtype=np.float32)[int(channel_of[video_id] == "c1")]
            digest = {"video_id": video_id, "encoder": encoder, "source_digest": "0" * 64}
            connection.execute(insert(embeddings).values(vector=vector, **digest))
    try:
        proposed = service.client.post("/api/v1/niches/proposals", json={"channels": ["c0"]})
        assert proposed.status_code == 200, proposed.text
        found = proposed.json()
        assert [(channel["channel_id"], channel["videos"]) for channel in found["channels"]] == [("c0", 2)]
        assert found["searches"] == ["soup recipe"]
        assert found["preview"] == {"tech": 2}
        assert found["cost"]["searches"] == 1
        assert "the lab has no channel 'nobody'" in problem(
            service.client.post("/api/v1/niches/proposals", json={"channels": ["nobody"]}), 422
        )
        assert "at least one" in problem(service.client.post("/api/v1/niches/proposals", json={}), 422)
        linked = {"channels": ["https://www.youtube.com/channel/c0"]}
        assert service.client.post("/api/v1/niches/proposals", json=linked).json() == found
    finally:
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM channels"))
        engine.dispose()


@pytest.mark.parametrize("field", ["channels", "videos"])
@pytest.mark.parametrize("name", ["\0", "a\0b", "\n", "youtube.com/@a%00b"])
def test_a_name_that_no_database_can_store_is_refused_by_a_proposal(service: Any, field: str, name: str) -> None:
    refused = service.client.post("/api/v1/niches/proposals", json={field: [name]})
    assert field[:-1] in problem(refused, 422)
