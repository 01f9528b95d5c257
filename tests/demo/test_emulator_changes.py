"""Test changes of videos and channels in the emulator, and conditional requests for pictures."""

from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import cv2
import numpy as np
import pytest
from emulated import client, get, refusal, walk

from demo.catalogues.source import CatalogueChannel
from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator


@pytest.fixture
def channel(small_catalogue: SyntheticCatalogue) -> CatalogueChannel:
    return next(iter(small_catalogue.channels.values()))


def uploads(emulator: Emulator, channel: CatalogueChannel) -> list[dict[str, Any]]:
    entries = client(emulator).playlistItems()
    parts = "snippet,contentDetails,status"
    return walk(entries, entries.list(part=parts, playlistId=channel.uploads_playlist, maxResults=7))


def uploaded(emulator: Emulator, channel: CatalogueChannel) -> list[str]:
    return [entry["contentDetails"]["videoId"] for entry in uploads(emulator, channel)]


def searched(emulator: Emulator, channel: CatalogueChannel) -> set[str]:
    search = client(emulator).search()
    request = search.list(part="snippet", type="video", channelId=channel.channel_id, maxResults=50)
    return {item["id"]["videoId"] for item in walk(search, request)}


def is_public(emulator: Emulator, video_id: str) -> bool:
    """Return whether a video is public. Check that `list`, `batchGetStats` and the picture's URL give the same answer."""
    videos = client(emulator).videos()
    listed = bool(videos.list(part="id", id=video_id).execute()["items"])
    assert bool(videos.batchGetStats(part="id", id=video_id).execute()["items"]) == listed
    assert (get(emulator, f"/vi/{video_id}/mqdefault.jpg")[0] == 200) == listed
    return listed


def test_a_removed_video_appears_nowhere_and_pages_have_no_gap(running: Emulator, channel: CatalogueChannel) -> None:
    ids = [video.video_id for video in channel.videos]
    removed = {ids[0], ids[6], ids[7], ids[-1]}
    for video_id in removed:
        running.remove(video_id)
        running.remove(video_id)  # A second removal changes nothing.
    left = [video_id for video_id in ids if video_id not in removed]
    assert uploaded(running, channel) == left
    assert searched(running, channel) == set(left)
    assert [is_public(running, video_id) for video_id in (ids[0], ids[1])] == [False, True]
    [item] = client(running).channels().list(part="statistics", id=channel.channel_id).execute()["items"]
    assert item["statistics"]["videoCount"] == str(len(left))


def test_the_uploads_list_a_private_video_without_its_title(running: Emulator, channel: CatalogueChannel) -> None:
    hidden = channel.videos[3].video_id
    running.make_private(hidden)
    entries = uploads(running, channel)
    assert [entry["contentDetails"]["videoId"] for entry in entries] == [video.video_id for video in channel.videos]
    entry = entries[3]
    assert entry["snippet"]["title"] == "Private video"
    assert entry["snippet"]["thumbnails"] == {}
    assert entry["status"]["privacyStatus"] == "private"
    assert "videoPublishedAt" not in entry["contentDetails"]
    assert entries[2]["status"]["privacyStatus"] == "public"
    assert not is_public(running, hidden)
    assert hidden not in searched(running, channel)


def test_closing_a_channel_removes_its_videos(running: Emulator, channel: CatalogueChannel) -> None:
    running.close_channel(channel.channel_id)
    youtube = client(running)
    assert "items" not in youtube.channels().list(part="id", id=channel.channel_id).execute()
    assert "items" not in youtube.channels().list(part="id", forHandle=channel.handle).execute()
    request = youtube.playlistItems().list(part="id", playlistId=channel.uploads_playlist)
    assert refusal(request) == (404, "playlistNotFound")
    assert not is_public(running, channel.videos[0].video_id)
    assert searched(running, channel) == set()


def test_a_changed_title_appears_in_every_endpoint(running: Emulator, channel: CatalogueChannel) -> None:
    video_id = channel.videos[2].video_id
    running.rename(video_id, "A wholly new title")
    youtube = client(running)
    [item] = youtube.videos().list(part="snippet", id=video_id).execute()["items"]
    [result] = youtube.search().list(part="snippet", type="video", q="wholly NEW").execute()["items"]
    titles = [item["snippet"]["title"], result["snippet"]["title"], uploads(running, channel)[2]["snippet"]["title"]]
    assert titles == ["A wholly new title"] * 3


def test_an_unchanged_picture_is_not_sent_again(running: Emulator, channel: CatalogueChannel) -> None:
    path = f"/vi/{channel.videos[0].video_id}/mqdefault.jpg"
    status, headers, body = get(running, path)
    assert status == 200 and body
    assert parsedate_to_datetime(headers["Last-Modified"]) == channel.videos[0].published_at
    etag, date = headers["ETag"], headers["Last-Modified"]
    for current in (
        {"If_None_Match": etag},
        {"If_None_Match": f'"other", W/{etag}'},
        {"If_None_Match": "*"},
        {"If_Modified_Since": date},
        {"If_None_Match": etag, "If_Modified_Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
    ):
        status, headers, body = get(running, path, **current)
        assert (status, headers["ETag"], body) == (304, etag, b"")
    for outdated in (
        {"If_None_Match": '"other"', "If_Modified_Since": date},  # The server must compare the tag and ignore the date.
        {"If_Modified_Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"If_Modified_Since": "yesterday"},
    ):
        assert get(running, path, **outdated)[0] == 200
    assert get(running, path.replace("mqdefault", "hq720"), If_None_Match="*")[0] == 404
    counts = running.counts
    assert (counts.images, counts.images_not_modified, counts.images_missing) == (4, 5, 1)


def test_a_changed_picture_has_a_new_etag_a_later_date_and_its_own_sizes(
    running: Emulator, channel: CatalogueChannel
) -> None:
    video_id = channel.videos[0].video_id
    path = f"/vi/{video_id}/hqdefault.jpg"
    _, before, old = get(running, path)
    running.advance(timedelta(hours=1))
    jpeg = cv2.imencode(".jpg", np.full((480, 640, 3), 90, np.uint8))[1].tobytes()  # The new picture is 4:3.
    running.change_thumbnail(video_id, jpeg)
    status, after, new = get(running, path, If_None_Match=before["ETag"], If_Modified_Since=before["Last-Modified"])
    assert status == 200 and new != old
    assert after["ETag"] != before["ETag"]
    assert parsedate_to_datetime(after["Last-Modified"]) == running.now
    assert get(running, path, If_None_Match=after["ETag"])[0] == 304
    assert get(running, f"/vi/{video_id}/maxresdefault.jpg")[0] == 404
    [item] = client(running).videos().list(part="snippet", id=video_id).execute()["items"]
    assert "maxres" not in item["snippet"]["thumbnails"]
    with pytest.raises(OSError):
        running.change_thumbnail(video_id, b"no picture")
