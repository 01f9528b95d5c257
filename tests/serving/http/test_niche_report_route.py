"""Test `GET /v1/library/{niche}/report` over HTTP with a real database."""

from datetime import UTC, datetime

import httpx
import pytest

from thumblab_core.database.tables import channels, niche_reports, videos
from thumblab_core.niche_report.niche_figures import CAVEATS, Coverage, Estimate, Example, Finding, NicheReport
from thumblab_core.niche_report.store import save_report

NOW = datetime(2026, 11, 1, tzinfo=UTC)
SHARE = Estimate(value=0.7, low=0.6, high=0.8)
FINDING = Finding(
    feature="text_area",
    part="text",
    words="The text covers more of the picture",
    kind="number",
    unit="%",
    share=SHARE,
    standardized=SHARE,
    odds_ratio=None,
    winners_usual=20.0,
    others_usual=10.0,
    q_value=0.01,
    winners=40,
    videos=400,
    channels=6,
    channels_agreeing=5,
    change=None,
    examples=(Example(winner="a", other="b"), Example(winner="b", other="a")),
)
REPORT = NicheReport(
    niche="tech",
    made_at=NOW,
    as_of=NOW,
    too_few=None,
    coverage=Coverage(videos=400, channels=6, winners=40, least_multiple=2.5, features=44, left_out={"a reason": 3}),
    findings=(FINDING,),
    caveats=CAVEATS,
)


@pytest.fixture
def stored(with_database, engine):
    """Store a report with two examples."""
    with engine.begin() as connection:
        connection.execute(niche_reports.delete())
        connection.execute(channels.insert(), {"channel_id": "UCa", "title": "A"})
        for video_id in ("a", "b"):
            row = {"video_id": video_id, "channel_id": "UCa", "niche": "tech", "title": "t", "published_at": NOW}
            connection.execute(videos.insert(), row | {"tags": [], "source": "catalogue", "refreshed_at": NOW})
        save_report(connection, REPORT)
    return with_database


def test_the_stored_report_is_given(stored):
    reply = stored.client.get("/v1/library/tech/report")
    assert reply.status_code == 200
    assert NicheReport.model_validate(reply.json()) == REPORT
    assert "does not show that one thing causes the other" in reply.json()["caveats"][0]


def test_an_example_is_not_given_after_its_video_was_deleted(stored, engine):
    with engine.begin() as connection:
        connection.execute(videos.delete().where(videos.c.video_id == "b"))
    [finding] = stored.client.get("/v1/library/tech/report").json()["findings"]
    assert finding["examples"] == []
    assert finding["share"] == {"value": 0.7, "low": 0.6, "high": 0.8}


def test_without_a_report_the_answer_says_how_to_make_one(stored):
    reply = stored.client.get("/v1/library/news/report")
    assert (reply.status_code, reply.json()["type"]) == (404, "urn:thumblab:no-report")
    assert "run the job `report_niche`" in reply.json()["detail"]


def test_an_unknown_niche_is_named_an_error(stored):
    reply = stored.client.get("/v1/library/cars/report")
    assert (reply.status_code, reply.json()["type"]) == (404, "urn:thumblab:not-found")
    assert "use one of tech, gaming" in reply.json()["detail"]


def test_without_a_database_the_answer_says_so(service):
    reply = service.client.get("/v1/library/tech/report")
    assert reply.status_code == 503
    assert "the report is in the lab's database, and" in reply.json()["detail"]
    assert int(reply.headers["Retry-After"]) >= 5


def test_the_report_needs_the_key(service):
    assert httpx.get(f"{service.url}/v1/library/tech/report", trust_env=False).status_code == 401
