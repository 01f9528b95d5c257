"""Test `GET /v1/videos/{video_id}` over HTTP with a real index and a real database."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, text, update

from thumblab_core.database.tables import (
    channels,
    thumbnail_versions,
    video_reach,
    video_stats,
    views_at_age,
    visual_features,
)
from thumblab_core.images import decode, digest
from thumblab_core.keys.named_keys import NamedKeys
from thumblab_core.sub_scores import Meter

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)  # This is the time of the latest observation that `conftest.py` stores.


def show(looked: Any, video_id: str) -> dict[str, Any]:
    reply = looked.service.client.get(f"/v1/videos/{video_id}")
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


def test_the_facts_the_history_and_the_neighbours_are_shown(looked: Any) -> None:
    video, item = show(looked, "v4"), looked.data.items[4]
    assert (video["title"], video["channel"], video["channel_id"]) == (item.title, "Channel 0", "UC0")
    assert (video["niche"], video["searched_in"], video["format"]) == ("tech", ["tech"], "video")
    assert [one["views"] for one in video["history"]] == [100, 4000]
    assert video["views"] == 4000
    assert video["outlier_multiple"] == pytest.approx(video["views_per_hour"] / 5)
    assert video["winner"] is (video["outlier_multiple"] >= 2 and video["views_per_hour"] >= 10)
    query = {"video_id": "v4", "niche": "tech", "k": 8, "diversity": 0}
    similar = looked.service.client.get("/v1/similar", params=query).json()
    assert video["neighbours"] == similar["items"]
    assert video["index_release"] == looked.release.release_id
    assert (video["measured"], video["click_through"], video["degraded"]) == (None, None, [])


def test_a_video_outside_of_the_index_has_no_neighbours_and_says_so(looked: Any) -> None:
    video = show(looked, "v38")
    assert (video["neighbours"], video["searched_in"], video["index_release"]) == ([], [], None)
    assert video["degraded"] == ["no served library has this video, so it has no neighbours"]


def test_versions_have_the_views_that_they_got(looked: Any) -> None:
    old, new = "1" * 64, digest(looked.data.pictures[5])
    rows = [("v5", old, -9, -6), ("v5", new, -5, 0)]
    with looked.engine.begin() as connection:
        for days, views, era in ((-9, 10, "a"), (-6, 40, "a"), (-5, 50, "a"), (-4, 70, "b")):
            row = {"video_id": "v5", "observed_at": NOW + timedelta(days=days), "view_count": views, "era": era}
            connection.execute(insert(video_stats), row)
        for video_id, sha, first, last in rows:
            seen = {"first_seen": NOW + timedelta(days=first), "last_seen": NOW + timedelta(days=last)}
            connection.execute(insert(thumbnail_versions), {"video_id": video_id, "sha256": sha, "title": "T", **seen})
        ages = {"video_id": "v5", "age_hours": 24, "views": 12.5, "era": "a", "before_hours": 20.0, "after_hours": 30.0}
        connection.execute(insert(views_at_age), ages)
    video = show(looked, "v5")
    first, second = video["thumbnails"]
    assert (first["sha256"], first["views"], first["current"]) == (old, 30, False)
    assert first["views_per_hour"] == pytest.approx(30 / 72)
    # The observations of the second version are of two eras, whose counts cannot be compared. The version therefore has
    # no views.
    assert (second["sha256"], second["views"], second["current"]) == (new, None, True)
    assert video["views_at_age"] == {"24": 12.5}


def test_stored_sub_scores_have_reasons_and_evidence(looked: Any) -> None:
    picture = looked.data.pictures[6]
    measurement = Meter(None).measure(decode(picture).pixels)
    values = {name: score.value for name, score in measurement.scores.items()}
    row = {"video_id": "v6", "sha256": digest(picture), "version": "1", "evidence": measurement.evidence.as_json()}
    with looked.engine.begin() as connection:
        connection.execute(insert(visual_features), row | values)
    measured = show(looked, "v6")["measured"]
    assert measured["evidence"]["width"] == 320
    assert measured["sub_scores"]["contrast"]["value"] == pytest.approx(values["contrast"])
    assert measured["sub_scores"]["contrast"]["reason"]
    assert measured["sub_scores"]["title_match"]["value"] is None
    with looked.engine.begin() as connection:
        connection.execute(update(visual_features).values(evidence=None))
    assert show(looked, "v6")["measured"]["evidence"] is None


def test_the_click_through_rate_is_for_the_owner_and_for_admin_only(looked: Any) -> None:
    keys = NamedKeys(looked.lab.settings)
    stranger, owner = (keys.add(name, ["score"], None) for name in ("stranger", "owner"))
    with looked.engine.begin() as connection:
        reach = {"video_id": "v7", "source": "studio", "day": NOW.date(), "impressions": 900, "imported_at": NOW}
        connection.execute(insert(video_reach), reach | {"click_through_rate": 0.05})
        connection.execute(update(channels).where(channels.c.channel_id == "UC3").values(owner=owner_of(looked, owner)))

    def clicks(key: str) -> Any:
        url = f"{looked.service.url}/v1/videos/v7"
        return httpx.get(url, headers={"X-API-Key": key}, trust_env=False).json()["click_through"]

    known = {"click_through_rate": 0.05, "impressions": 900, "source": "studio", "until": NOW.date().isoformat()}
    assert clicks(stranger) is None
    assert clicks(owner) == known
    assert show(looked, "v7")["click_through"] == known


def owner_of(looked: Any, key: str) -> str:
    grant = looked.service.app.state.keys.find(key)
    assert grant is not None
    return str(grant.owner)


@pytest.mark.parametrize("video_id", ["unknown", "a%00b", "a" * 300])
def test_an_unknown_video_is_a_404(looked: Any, video_id: str) -> None:
    reply = looked.service.client.get(f"/v1/videos/{video_id}")
    assert (reply.status_code, reply.json()["type"]) == (404, "urn:thumblab:unknown-video")


def test_without_a_database_the_video_is_a_503_and_the_search_goes_on(service: Any) -> None:
    reply = service.client.get("/v1/videos/v1")
    assert (reply.status_code, reply.json()["type"]) == (503, "urn:thumblab:no-database")
    assert int(reply.headers["Retry-After"]) > 0
    assert len(service.client.get("/v1/similar", params={"video_id": "v1"}).json()["items"]) == 24
    unknown = service.client.get("/v1/similar", params={"video_id": "nobody"})
    assert unknown.status_code == 404
    assert "could not be searched for it" in unknown.json()["detail"]


def test_a_deleted_video_is_not_shown(looked: Any) -> None:
    with looked.engine.begin() as connection:
        connection.execute(text("DELETE FROM videos WHERE video_id = 'v9'"))
    assert looked.service.client.get("/v1/videos/v9").status_code == 404
