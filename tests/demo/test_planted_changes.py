"""Test synthetic catalogues in which a change of a thumbnail changes how fast a video gains views.

The better the planted quality of the new thumbnail is, the more views the video gains.
"""

import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

import cv2
import numpy as np
import pytest
from emulated import client, get, walk

from demo.catalogues.drafts import CLOCK
from demo.catalogues.effects import CONFOUNDED, PlantedEffects
from demo.catalogues.formula import SIGMA_Q
from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue
from demo.emulator import Emulator

CHANGES = PlantedEffects(interaction=0.5, topic_effect=0.8, topic_correlation=0.6, changes=True)


@pytest.fixture(scope="module")
def catalogue() -> SyntheticCatalogue:
    return synthetic_catalogue(150, 3, CHANGES)


@pytest.fixture
def emulator(catalogue: SyntheticCatalogue) -> Iterator[Emulator]:
    with Emulator(catalogue) as running:
        yield running


def views(emulator: Emulator, video_id: str) -> int:
    [item] = client(emulator).videos().list(part="statistics", id=video_id).execute()["items"]
    return int(item["statistics"]["viewCount"])


def busiest(catalogue: SyntheticCatalogue) -> str:
    """Return the id of the video that gains most views per hour.

    The view counts of this video have the smallest rounding error.
    """
    day = CLOCK + timedelta(days=1)
    return max(catalogue.videos.values(), key=lambda video: catalogue.views(video, day) - video.views).video_id


def unchanged_gain(catalogue: SyntheticCatalogue, video_id: str, start: datetime, end: datetime) -> int:
    video = catalogue.videos[video_id]
    return catalogue.views(video, end) - catalogue.views(video, start)


def test_from_a_change_on_views_per_hour_follow_the_new_picture(
    catalogue: SyntheticCatalogue, emulator: Emulator
) -> None:
    video_id = busiest(catalogue)
    news = [catalogue.new_picture(video_id, str(number)) for number in range(4)]
    first = catalogue.planted_quality(video_id)
    for new in (max(news, key=lambda news: news.quality), min(news, key=lambda news: news.quality)):
        start = emulator.now
        before = views(emulator, video_id)
        emulator.change_thumbnail(video_id, new.image)
        assert views(emulator, video_id) == before
        emulator.advance(timedelta(hours=12))
        gain = unchanged_gain(catalogue, video_id, start, emulator.now) * math.exp(SIGMA_Q * (new.quality - first))
        assert gain > 1_000
        assert views(emulator, video_id) - before == pytest.approx(gain, abs=1)
    start, before = emulator.now, views(emulator, video_id)
    emulator.change_thumbnail(video_id, catalogue.image(video_id))
    emulator.advance(timedelta(hours=12))
    gain = unchanged_gain(catalogue, video_id, start, emulator.now)
    assert views(emulator, video_id) - before == pytest.approx(gain, abs=1)


def test_the_effect_of_a_picture_is_that_under_the_present_title(
    catalogue: SyntheticCatalogue, emulator: Emulator
) -> None:
    video_id = busiest(catalogue)
    other = next(title for title in catalogue.videos if abs(gap(catalogue, video_id, title)) > 0.5)
    emulator.rename(video_id, catalogue.videos[other].title)
    emulator.change_thumbnail(video_id, catalogue.image(other))
    start, before = emulator.now, views(emulator, video_id)
    emulator.advance(timedelta(hours=12))
    difference = catalogue.one_title_quality(other, other) - catalogue.one_title_quality(video_id, other)
    gain = unchanged_gain(catalogue, video_id, start, emulator.now) * math.exp(SIGMA_Q * difference)
    assert views(emulator, video_id) - before == pytest.approx(gain, abs=1)


def gap(catalogue: SyntheticCatalogue, video_id: str, other: str) -> float:
    """Return how much more the picture of `other` gains than the picture of `video_id` when the title changes.

    Both pictures first have the title of `video_id`, and then the title of `other`. A gain is a difference of qualities.
    The result is 0 if the title does not matter.
    """
    quality = catalogue.one_title_quality
    under_own = quality(other, video_id) - quality(video_id, video_id)
    return quality(other, other) - quality(video_id, other) - under_own


@pytest.mark.slow
def test_the_views_of_a_channel_and_a_search_by_views_follow_too(
    catalogue: SyntheticCatalogue, emulator: Emulator
) -> None:
    best_gain, best_id, picture = max(
        (new.quality - catalogue.planted_quality(video_id), video_id, new.image)
        for video_id in catalogue.videos
        for new in [catalogue.new_picture(video_id, "better")]
    )
    assert best_gain > 1
    channel = catalogue.channels[catalogue.videos[best_id].channel_id]
    youtube = client(emulator)
    emulator.change_thumbnail(best_id, picture)
    emulator.advance(timedelta(days=30))
    [item] = youtube.channels().list(part="statistics", id=channel.channel_id).execute()["items"]
    counts = {video.video_id: views(emulator, video.video_id) for video in channel.videos}
    assert int(item["statistics"]["viewCount"]) == sum(counts.values())
    assert counts[best_id] > catalogue.views(catalogue.videos[best_id], emulator.now)
    search = youtube.search()
    request = search.list(part="snippet", type="video", order="viewCount", channelId=channel.channel_id, maxResults=50)
    ranked = [entry["id"]["videoId"] for entry in walk(search, request)]
    assert [counts[video_id] for video_id in ranked] == sorted(counts.values(), reverse=True)


def test_a_picture_that_the_catalogue_did_not_draw_changes_no_views(
    catalogue: SyntheticCatalogue, emulator: Emulator
) -> None:
    video_id = busiest(catalogue)
    emulator.change_thumbnail(video_id, cv2.imencode(".jpg", np.zeros((360, 640, 3), np.uint8))[1].tobytes())
    emulator.advance(timedelta(days=3))
    assert views(emulator, video_id) == catalogue.views(catalogue.videos[video_id], emulator.now)


def test_without_planted_changes_a_new_picture_changes_no_views() -> None:
    catalogue = synthetic_catalogue(150, 3, CONFOUNDED)
    video_id = busiest(catalogue)
    with Emulator(catalogue) as emulator:
        emulator.change_thumbnail(video_id, catalogue.new_picture(video_id, "new").image)
        emulator.advance(timedelta(days=3))
        assert views(emulator, video_id) == catalogue.views(catalogue.videos[video_id], emulator.now)


def test_a_planted_share_of_the_videos_swaps_its_thumbnail_on_time_and_views_follow() -> None:
    catalogue = synthetic_catalogue(150, 3, PlantedEffects(swaps=0.2))
    assert len(catalogue.swaps) == len({swap.video_id for swap in catalogue.swaps}) == 30
    times = [swap.at for swap in catalogue.swaps]
    assert times == sorted(times)
    assert CLOCK + timedelta(days=1) <= times[0] and times[-1] <= CLOCK + timedelta(days=14)
    largest = max(catalogue.swaps, key=lambda swap: swap.effect)
    path = f"/vi/{largest.video_id}/hqdefault.jpg"
    with Emulator(catalogue) as emulator:
        old = get(emulator, path)[2]
        emulator.advance(largest.at - timedelta(hours=1) - emulator.now)
        assert get(emulator, path)[2] == old
        emulator.advance(timedelta(hours=2))
        _, headers, new = get(emulator, path)
        assert new != old and parsedate_to_datetime(headers["Last-Modified"]) == largest.at
        emulator.advance(timedelta(days=20))
        for swap in catalogue.swaps:
            gained = views(emulator, swap.video_id) - catalogue.views(catalogue.videos[swap.video_id], swap.at)
            expected = unchanged_gain(catalogue, swap.video_id, swap.at, emulator.now) * math.exp(swap.effect)
            assert gained == pytest.approx(expected, abs=1)
        swapped = {swap.video_id for swap in catalogue.swaps}
        for video in list(catalogue.videos.values())[:40]:
            if video.video_id not in swapped:
                assert views(emulator, video.video_id) == catalogue.views(video, emulator.now)


def test_the_effects_of_swaps_are_those_of_the_pictures_that_are_served() -> None:
    catalogue = synthetic_catalogue(150, 3, PlantedEffects(swaps=0.2))
    changes = catalogue.picture_changes(CLOCK, CLOCK + timedelta(days=15))
    assert [(change.video_id, change.at) for change in changes] == [(s.video_id, s.at) for s in catalogue.swaps]
    for change, swap in zip(changes, catalogue.swaps, strict=True):
        assert catalogue.picture_effect(catalogue.videos[change.video_id], change.image) == swap.effect
    assert np.std([swap.effect for swap in catalogue.swaps]) > 0.4
