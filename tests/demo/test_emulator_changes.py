"""What happens to videos while a collector watches, and how their pictures are fetched again."""

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


def seen(emulator: Emulator, video_id: str) -> bool:
    """By its id, in its two lists; whether they agree is looked at too."""
    videos = client(emulator).videos()
    listed = bool(videos.list(part="id", id=video_id).execute()["items"])
    assert bool(videos.batchGetStats(part="id", id=video_id).execute()["items"]) == listed
    assert (get(emulator, f"/vi/{video_id}/mqdefault.jpg")[0] == 200) == listed
    return listed


def test_a_removed_video_is_nowhere_and_the_pages_close_the_gap(running: Emulator, channel: CatalogueChannel) -> None:
    ids = [video.video_id for video in channel.videos]
    gone = {ids[0], ids[6], ids[7], ids[-1]}
    for video_id in gone:
        running.remove(video_id)
        running.remove(video_id)  # twice is once
    left = [video_id for video_id in ids if video_id not in gone]
    assert uploaded(running, channel) == left
    assert searched(running, channel) == set(left)
    assert [seen(running, video_id) for video_id in (ids[0], ids[1])] == [False, True]
    [item] = client(running).channels().list(part="statistics", id=channel.channel_id).execute()["items"]
    assert item["statistics"]["videoCount"] == str(len(left))


def test_a_private_video_still_stands_in_the_uploads_without_its_name(
    running: Emulator, channel: CatalogueChannel
) -> None:
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
    assert not seen(running, hidden)
    assert hidden not in searched(running, channel)


def test_a_closed_channel_takes_its_videos_with_it(running: Emulator, channel: CatalogueChannel) -> None:
    running.close_channel(channel.channel_id)
    youtube = client(running)
    assert "items" not in youtube.channels().list(part="id", id=channel.channel_id).execute()
    assert "items" not in youtube.channels().list(part="id", forHandle=channel.handle).execute()
    request = youtube.playlistItems().list(part="id", playlistId=channel.uploads_playlist)
    assert refusal(request) == (404, "playlistNotFound")
    assert not seen(running, channel.videos[0].video_id)
    assert searched(running, channel) == set()


def test_a_new_title_is_told_everywhere(running: Emulator, channel: CatalogueChannel) -> None:
    video_id = channel.videos[2].video_id
    running.rename(video_id, "A wholly new title")
    youtube = client(running)
    [item] = youtube.videos().list(part="snippet", id=video_id).execute()["items"]
    [found] = youtube.search().list(part="snippet", type="video", q="wholly NEW").execute()["items"]
    titles = [item["snippet"]["title"], found["snippet"]["title"], uploads(running, channel)[2]["snippet"]["title"]]
    assert titles == ["A wholly new title"] * 3


def test_a_picture_that_has_not_changed_is_not_sent_again(running: Emulator, channel: CatalogueChannel) -> None:
    path = f"/vi/{channel.videos[0].video_id}/mqdefault.jpg"
    status, headers, body = get(running, path)
    assert status == 200 and body
    assert parsedate_to_datetime(headers["Last-Modified"]) == channel.videos[0].published_at
    etag, date = headers["ETag"], headers["Last-Modified"]
    for known in (
        {"If_None_Match": etag},
        {"If_None_Match": f'"other", W/{etag}'},
        {"If_None_Match": "*"},
        {"If_Modified_Since": date},
        {"If_None_Match": etag, "If_Modified_Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
    ):
        status, headers, body = get(running, path, **known)
        assert (status, headers["ETag"], body) == (304, etag, b"")
    for unknown in (
        {"If_None_Match": '"other"', "If_Modified_Since": date},  # a date says nothing beside a tag
        {"If_Modified_Since": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"If_Modified_Since": "yesterday"},
    ):
        assert get(running, path, **unknown)[0] == 200
    assert get(running, path.replace("mqdefault", "hq720"), If_None_Match="*")[0] == 404
    counts = running.counts
    assert (counts.images, counts.images_not_modified, counts.images_missing) == (4, 5, 1)


def test_a_changed_picture_has_another_tag_a_later_date_and_its_own_sizes(
    running: Emulator, channel: CatalogueChannel
) -> None:
    video_id = channel.videos[0].video_id
    path = f"/vi/{video_id}/hqdefault.jpg"
    _, before, old = get(running, path)
    running.advance(timedelta(hours=1))
    jpeg = cv2.imencode(".jpg", np.full((480, 640, 3), 90, np.uint8))[1].tobytes()  # 4:3
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
