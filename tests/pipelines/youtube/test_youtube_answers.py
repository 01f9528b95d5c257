"""Tests of parsing YouTube's answers. Usual answers were recorded. Unusual answers are written by the tests."""

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from thumblab_pipelines.lab import Lab
from thumblab_pipelines.videos.records import (
    LIVE,
    SHORT,
    UPCOMING,
    VIDEO,
    ChannelRecord,
    format_of,
    save_channels,
    save_videos,
)
from thumblab_pipelines.youtube import answers

AT = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def recorded(shared_data: Path) -> Path:
    return shared_data / "api_responses"


def items(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return the items of a recorded answer."""
    recorded_items = json.loads((folder / name).read_text()).get("items", [])
    assert recorded_items, name
    return recorded_items


def recorded_videos(folder: Path) -> list[dict[str, Any]]:
    """Return the recorded videos that have the part `snippet`. The lab always requests this part."""
    return [item for name in VIDEO_ANSWERS for item in items(folder, name) if "snippet" in item]


VIDEO_ANSWERS = (
    "apidata/videos/videos_info_multi.json",
    "apidata/videos/videos_info_single.json",
    "apidata/videos/videos_chart_paged_1.json",
    "apidata/videos/videos_chart_paged_2.json",
    "apidata/videos/videos_myrating_paged_1.json",
    "apidata/videos/videos_myrating_paged_2.json",
    "modeldata/videos/video_api_response.json",
)


def test_every_recorded_video_is_read(recorded: Path) -> None:
    recorded_items = recorded_videos(recorded)
    records = answers.parse_items(recorded_items, lambda item: answers.parse_video(item, "tech", AT))
    assert len(records) == len(recorded_items) >= 10
    for item, record in zip(recorded_items, records, strict=True):
        statistics = item.get("statistics", {})
        assert record.video_id == item["id"]
        assert record.title == item["snippet"]["title"]
        assert record.view_count == (int(statistics["viewCount"]) if "viewCount" in statistics else None)
        assert record.like_count == (int(statistics["likeCount"]) if "likeCount" in statistics else None)
        assert record.published_at.tzinfo is not None
        assert record.thumbnail_urls[0] == item["snippet"]["thumbnails"][largest_size(item)]["url"]


def largest_size(item: dict[str, Any]) -> str:
    """Return the name of the largest thumbnail in the answer.

    A 4:3 thumbnail shows the 16:9 picture between two black bars. Only the pixels of the picture count.
    """
    sizes = item["snippet"]["thumbnails"]
    return max(sizes, key=lambda name: min(sizes[name]["height"], sizes[name]["width"] * 9 / 16))


def test_missing_statistics_are_none_and_never_zero(recorded: Path) -> None:
    item = next(item for item in recorded_videos(recorded) if "statistics" in item)
    assert answers.parse_video(item, "tech", AT).view_count is not None
    item = {name: value for name, value in item.items() if name != "statistics"}
    record = answers.parse_video(item, "tech", AT)
    assert (record.view_count, record.like_count, record.comment_count) == (None, None, None)
    item["statistics"] = {"viewCount": "0"}
    record = answers.parse_video(item, "tech", AT)
    assert (record.view_count, record.like_count) == (0, None)


@pytest.mark.parametrize(
    "name",
    [
        "apidata/channels/info.json",
        "apidata/channels/info_multiple.json",
        "modeldata/channels/channel_api_response.json",
    ],
)
def test_every_recorded_channel_is_read(recorded: Path, name: str) -> None:
    recorded_items = items(recorded, name)
    records = answers.parse_items(recorded_items, lambda item: answers.parse_channel(item, AT))
    assert [record.channel_id for record in records] == [item["id"] for item in recorded_items]
    for item, record in zip(recorded_items, records, strict=True):
        assert record.title == item["snippet"]["title"]
        count = item.get("statistics", {}).get("subscriberCount")
        assert record.subscriber_count == (None if count is None else int(count))
        playlists = item.get("contentDetails", {}).get("relatedPlaylists", {})
        assert record.uploads_playlist == playlists.get("uploads")


@pytest.mark.parametrize(
    "name",
    ["playlist_items_paged_1.json", "playlist_items_paged_2.json", "playlist_items_single.json"],
)
def test_every_recorded_upload_is_read(recorded: Path, name: str) -> None:
    recorded_items = items(recorded, f"apidata/playlist_items/{name}")
    uploads = answers.parse_items(recorded_items, answers.parse_upload)
    assert [upload.video_id for upload in uploads] == [
        item["snippet"]["resourceId"]["videoId"] for item in recorded_items
    ]
    # Some uploads were recorded without the part contentDetails. The publication time of these uploads is therefore
    # unknown, as for private videos.
    published = [item.get("contentDetails", {}).get("videoPublishedAt") for item in recorded_items]
    assert [upload.published_at is None for upload in uploads] == [moment is None for moment in published]


@pytest.mark.parametrize(
    "name", ["search_by_keywords_p1.json", "search_by_event.json", "search_videos_by_channel.json"]
)
def test_every_video_of_a_recorded_search_is_read(recorded: Path, name: str) -> None:
    recorded_items = [
        item for item in items(recorded, f"apidata/search/{name}") if item["id"]["kind"] == "youtube#video"
    ]
    hits = answers.parse_items(recorded_items, answers.parse_hit)
    assert [(hit.video_id, hit.channel_id) for hit in hits] == [
        (item["id"]["videoId"], item["snippet"]["channelId"]) for item in recorded_items
    ]


def test_recorded_channel_has_its_uploads_and_recorded_video_its_duration(recorded: Path) -> None:
    channel = json.loads((recorded / "modeldata/channels/channel_info.json").read_text())
    assert answers.parse_channel(channel, AT).uploads_playlist == "UU_x5XG1OV2P6uZZ5FSM9Ttw"
    assert answers.parse_channel(channel, AT).video_count == 5_026
    video = json.loads((recorded / "modeldata/videos/video_info.json").read_text())
    assert answers.parse_video(video, "tech", AT).view_count == 8_087
    assert (
        answers.parse_video(video, "tech", AT).duration_s
        == answers.duration_seconds(video["contentDetails"]["duration"])
        > 0
    )


def test_unreadable_item_is_logged_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    good = {"id": "good", "contentDetails": {"videoId": "v", "videoPublishedAt": "2026-11-01T00:00:00Z"}}
    bad: list[Any] = [
        {"id": "bad"},
        {"id": "worse", "contentDetails": {"videoId": "x", "videoPublishedAt": "soon"}},
        None,
    ]
    with caplog.at_level(logging.WARNING):
        assert [upload.video_id for upload in answers.parse_items([bad[0], good, *bad[1:]], answers.parse_upload)] == [
            "v"
        ]
    assert "'bad'" in caplog.text
    assert "'worse'" in caplog.text


def test_unusual_text_and_impossible_counts_can_be_stored(open_lab: Callable[..., Lab]) -> None:
    item: dict[str, Any] = {
        "id": "odd",
        "snippet": {
            "channelId": "c",
            "title": "a\0b\ud800c \U0001f600",
            "publishedAt": "2026-11-01T00:00:00.000Z",
            "tags": ["x\0"],
        },
        "statistics": {"viewCount": str(2**64), "likeCount": "-1", "commentCount": "7"},
    }
    record = answers.parse_video(item, "tech", AT)
    assert (record.title, record.tags) == ("ab?c \U0001f600", ("x",))
    assert (record.view_count, record.like_count, record.comment_count) == (None, None, 7)
    with open_lab().engine.begin() as connection:
        save_channels(connection, [ChannelRecord("c", "C"), ChannelRecord("c", "C again")])
        assert save_videos(connection, [record, record]).new_videos == 1  # An answer may contain a video twice.


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT1H2M3S", 3_723),
        ("PT45S", 45),
        ("P1DT1S", 86_401),
        ("P1W", 604_800),
        ("P0D", None),
        ("PT0S", None),
        ("", None),
        ("soon", None),
    ],
)
def test_duration_is_seconds_and_missing_duration_is_none(text: str, seconds: int | None) -> None:
    assert answers.duration_seconds(text) == seconds


@pytest.mark.parametrize(
    ("broadcast", "duration", "shape", "kind"),
    [
        ("none", 180, 9 / 16, SHORT),
        ("none", 180, 1.0, SHORT),
        ("none", 181, 9 / 16, VIDEO),
        ("none", 60, 16 / 9, VIDEO),
        ("none", 60, None, VIDEO),
        ("none", None, None, VIDEO),
        ("live", None, 9 / 16, LIVE),
        ("upcoming", 0, None, UPCOMING),
    ],
)
def test_shorts_live_and_upcoming_are_recognised(
    broadcast: str, duration: int | None, shape: float | None, kind: str
) -> None:
    assert format_of(broadcast, duration, shape) == kind


@pytest.mark.parametrize(
    ("permitted", "may"), [(["all"], True), ("all", True), (["none"], False), (["party"], False), (None, False)]
)
def test_only_permission_for_everybody_allows_training(permitted: Any, may: bool) -> None:
    assert answers.may_train({} if permitted is None else {"permitted": permitted}) is may
