"""Test the API key, the clock and the three daily quotas of the emulator."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from emulated import client, error, get, refusal

from demo.catalogues.drafts import CLOCK
from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator

NOTHING = {"units": 0, "searches": 0, "stats": 0}


def test_the_key_may_come_in_the_header_or_in_the_query(small_catalogue: SyntheticCatalogue) -> None:
    path = f"/youtube/v3/videos?part=id&id={next(iter(small_catalogue.videos))}"
    with Emulator(small_catalogue, key="right") as emulator:
        assert get(emulator, path, X_Goog_Api_Key="right")[0] == 200
        assert get(emulator, f"{path}&key=right")[0] == 200
        assert emulator.counts.spent["units"] == 2
        for status, _, body in (
            get(emulator, path),
            get(emulator, path, X_Goog_Api_Key="wrong"),
            get(emulator, f"{path}&key=wrong"),
        ):
            assert (status, json.loads(body)["error"]["errors"][0]["reason"]) == (400, "keyInvalid")
        assert emulator.counts.spent["units"] == 2


def test_the_clock_stands_still_until_advanced_and_dates_every_answer(running: Emulator) -> None:
    def date() -> datetime:
        return parsedate_to_datetime(get(running, "/youtube/v3/none")[1]["Date"])

    assert running.now == date() == date() == CLOCK
    running.advance(timedelta(hours=5))
    assert running.now == date() == CLOCK + timedelta(hours=5)
    assert running.now.tzinfo is UTC
    with pytest.raises(ValueError, match="forward"):
        running.advance(timedelta(seconds=-1))


def test_each_endpoint_is_charged_to_its_bucket(running: Emulator) -> None:
    youtube = client(running)
    video, channel = "nosuchvideo", "UCnobodynobodynobodynobo"
    youtube.videos().list(part="id", id=video).execute()
    youtube.channels().list(part="id", id=channel).execute()
    youtube.videoCategories().list(part="snippet", regionCode="AU").execute()
    assert running.counts.spent == {"units": 3, "searches": 0, "stats": 0}
    youtube.search().list(part="snippet", type="video").execute()
    youtube.videos().batchGetStats(part="statistics", id=video).execute()
    assert running.counts.spent == running.counts.spent_today == {"units": 3, "searches": 1, "stats": 1}


def test_an_invalid_request_spends_quota_and_a_quota_refusal_does_not(small_catalogue: SyntheticCatalogue) -> None:
    with Emulator(small_catalogue, daily_units=2, daily_searches=0, daily_stats=0) as emulator:
        youtube = client(emulator)
        assert refusal(youtube.videos().list(part="snippet"))[0] == 400
        assert refusal(youtube.playlistItems().list(part="snippet", playlistId="UUnone"))[0] == 404
        assert emulator.counts.spent == {**NOTHING, "units": 2}
        for request in (
            youtube.videos().list(part="snippet"),
            youtube.search().list(part="snippet"),
            youtube.videos().batchGetStats(part="id", id="x"),
        ):
            assert refusal(request) == (403, "quotaExceeded")
        assert emulator.counts.spent == {**NOTHING, "units": 2}


def test_quotas_reset_at_midnight_in_los_angeles(small_catalogue: SyntheticCatalogue) -> None:
    with Emulator(small_catalogue, daily_units=1) as emulator:
        request = client(emulator).videos().list(part="id", id="nosuchvideo")
        request.execute()
        emulator.advance(datetime(2026, 11, 21, 7, 59, 59, tzinfo=UTC) - emulator.now)
        assert refusal(request) == (403, "quotaExceeded")
        emulator.advance(timedelta(seconds=1))  # 08:00 UTC is midnight in Los Angeles in winter.
        assert emulator.counts.spent_today == NOTHING
        request.execute()
        assert refusal(request) == (403, "quotaExceeded")
        assert emulator.counts.spent == {**NOTHING, "units": 2}
        assert emulator.counts.spent_today == {**NOTHING, "units": 1}


def test_a_spent_quota_can_answer_429_with_details(small_catalogue: SyntheticCatalogue) -> None:
    with Emulator(small_catalogue, daily_units=0, daily_searches=0, daily_stats=0, quota_style="429") as emulator:
        youtube = client(emulator)
        for request, name in (
            (youtube.videos().list(part="id", id="x"), "defaultPerDayPerProject"),
            (youtube.search().list(part="snippet"), "SearchPerDayPerProject"),
            (youtube.videos().batchGetStats(part="id", id="x"), "StatsPerDayPerProject"),
        ):
            body_error = error(request)[1]
            assert (body_error["code"], body_error["status"]) == (429, "RESOURCE_EXHAUSTED")
            assert body_error["errors"][0]["reason"] == "rateLimitExceeded"
            [detail] = body_error["details"]
            assert detail["reason"] == "RATE_LIMIT_EXCEEDED"
            assert detail["metadata"]["quota_limit"] == name
            assert detail["metadata"]["quota_unit"] == "1/d/{project}"
            assert detail["metadata"]["quota_limit_value"] == "0"
