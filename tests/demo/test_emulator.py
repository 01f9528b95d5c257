"""Test that Google's unmodified client works with the emulator over real sockets."""

import http.client
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import cv2
import httplib2
import numpy as np
import pytest
from emulated import client, get, refusal, size_of, walk

from demo.catalogues.catalogue import Catalogue, channel_id_of
from demo.catalogues.source import CatalogueVideo
from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue
from demo.emulator import Emulator
from demo.wire import iso_duration


@pytest.fixture(scope="module")
def catalogue() -> SyntheticCatalogue:
    return synthetic_catalogue(videos=560, seed=3)


@pytest.fixture
def emulator(catalogue: SyntheticCatalogue) -> Iterator[Emulator]:
    with Emulator(catalogue) as running:
        yield running


def test_a_search_pages_through_a_niche_in_order_of_views(emulator: Emulator, catalogue: SyntheticCatalogue) -> None:
    search = client(emulator).search()
    request = search.list(part="snippet", type="video", order="viewCount", videoCategoryId="28", maxResults=25)
    video_ids = [item["id"]["videoId"] for item in walk(search, request)]
    tech = [video for video in catalogue.videos.values() if video.niche == "tech"]
    assert video_ids == [video.video_id for video in sorted(tech, key=lambda video: -video.views)]
    assert emulator.counts.calls == {"search": 4}


def test_a_search_by_date_stays_in_its_time_window(emulator: Emulator, catalogue: SyntheticCatalogue) -> None:
    after = (catalogue.observed_at - timedelta(days=30)).strftime("%Y-%m-%dT%H:%M:%SZ")
    before = (catalogue.observed_at - timedelta(days=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    search = client(emulator).search()
    request = search.list(
        part="snippet", type="video", order="date", publishedAfter=after, publishedBefore=before, maxResults=50
    )
    times = [item["snippet"]["publishedAt"] for item in walk(search, request)]
    assert times == sorted(times, reverse=True)
    assert after <= times[-1] <= times[0] < before
    assert len(times) == sum(
        after <= video.published_at.strftime("%Y-%m-%dT%H:%M:%SZ") < before for video in catalogue.videos.values()
    )


def test_the_uploads_of_a_channel_come_newest_first_in_pages(emulator: Emulator, catalogue: SyntheticCatalogue) -> None:
    youtube = client(emulator)
    channel = next(iter(catalogue.channels.values()))
    answer = youtube.channels().list(part="snippet,contentDetails,statistics", id=channel.channel_id).execute()
    [item] = answer["items"]
    assert item["snippet"]["title"] == channel.title
    assert item["statistics"]["videoCount"] == str(len(channel.videos))
    uploads = item["contentDetails"]["relatedPlaylists"]["uploads"]
    assert uploads == "UU" + channel.channel_id[2:]
    entries = youtube.playlistItems()
    uploaded = walk(entries, entries.list(part="snippet,contentDetails", playlistId=uploads, maxResults=7))
    assert [entry["contentDetails"]["videoId"] for entry in uploaded] == [video.video_id for video in channel.videos]
    assert [entry["snippet"]["position"] for entry in uploaded] == list(range(len(channel.videos)))


def test_a_video_has_its_counts_as_strings_and_its_length_in_iso_8601(
    emulator: Emulator, catalogue: SyntheticCatalogue
) -> None:
    video = next(iter(catalogue.videos.values()))
    request = client(emulator).videos().list(part=["snippet", "contentDetails", "statistics"], id=[video.video_id])
    [item] = request.execute()["items"]
    assert item["statistics"]["viewCount"] == str(video.views)
    assert item["contentDetails"]["duration"] == iso_duration(video.duration_s)
    assert item["snippet"]["categoryId"] == "28"
    assert item["snippet"]["title"] == video.title
    assert set(item) == {"kind", "etag", "id", "snippet", "contentDetails", "statistics"}
    lengths = [iso_duration(seconds) for seconds in (0, 59, 60, 3_723, 86_400)]
    assert lengths == ["P0D", "PT59S", "PT1M", "PT1H2M3S", "P1D"]


@pytest.mark.parametrize("joined", [True, False], ids=["commas", "repeated"])
def test_unknown_ids_are_left_out(emulator: Emulator, catalogue: SyntheticCatalogue, joined: bool) -> None:
    known = list(catalogue.videos)[:3]
    requested = [known[0], "nosuchvideo", known[1], known[2]]
    videos = client(emulator).videos()
    answer = videos.list(part="snippet", id=",".join(requested) if joined else requested).execute()
    assert [item["id"] for item in answer["items"]] == known
    assert answer["pageInfo"]["totalResults"] == 3
    channels = client(emulator).channels().list(part="snippet", id="UCnobodynobodynobodynobo").execute()
    assert "items" not in channels


def test_a_query_too_long_for_a_url_arrives_as_a_form(emulator: Emulator, catalogue: SyntheticCatalogue) -> None:
    ids = list(catalogue.channels)
    sent: list[str] = []

    class Recording(httplib2.Http):
        def request(self, uri: str, method: str = "GET", **rest: Any) -> Any:
            sent.append(method)
            return super().request(uri, method=method, **rest)

    # With these unknown ids, the URL would be longer than 2,048 characters, so Google's client sends a POST request.
    padded = [f"{'x' * 80}{number:04}" for number in range(50 - len(ids))]
    request = client(emulator).channels().list(part="snippet", id=ids + padded)
    answer = request.execute(http=Recording())
    assert sent == ["POST"]
    assert [item["id"] for item in answer["items"]] == ids
    assert emulator.counts.calls == {"channels": 1}


def test_more_than_fifty_ids_are_refused(emulator: Emulator) -> None:
    request = client(emulator).videos().list(part="snippet", id=[f"{number:011}" for number in range(51)])
    assert refusal(request) == (400, "invalidFilters")


def test_a_chart_is_served_for_gaming_and_refused_for_tech(emulator: Emulator, catalogue: SyntheticCatalogue) -> None:
    videos = client(emulator).videos()
    chart = videos.list(
        part="snippet,statistics", chart="mostPopular", regionCode="AU", videoCategoryId="20", maxResults=50
    )
    views = [int(item["statistics"]["viewCount"]) for item in walk(videos, chart)]
    gaming = [video.views for video in catalogue.videos.values() if video.niche == "gaming"]
    assert views == sorted(gaming, reverse=True)
    assert videos.list(part="snippet", chart="mostPopular", videoCategoryId="10").execute()["items"] == []
    tech = videos.list(part="snippet", chart="mostPopular", regionCode="AU", videoCategoryId="28")
    assert refusal(tech) == (400, "videoChartNotFound")


def test_errors_have_the_reasons_of_youtube(emulator: Emulator, catalogue: SyntheticCatalogue) -> None:
    youtube = client(emulator)
    uploads = next(iter(catalogue.channels.values())).uploads_playlist
    entries = youtube.playlistItems()
    assert refusal(youtube.videos().list(part="snippet")) == (400, "missingRequiredParameter")
    assert refusal(entries.list(part="snippet")) == (400, "missingRequiredParameter")
    assert refusal(entries.list(part="snippet", playlistId="UUnone")) == (404, "playlistNotFound")
    assert refusal(entries.list(part="snippet", playlistId=uploads, pageToken="%%%")) == (400, "invalidPageToken")
    assert refusal(entries.list(part="snippet", playlistId=uploads, maxResults=51)) == (400, "invalidParameter")
    status, _, body = get(emulator, "/youtube/v3/videos?id=x&key=k")
    assert (status, json.loads(body)["error"]["errors"][0]["reason"]) == (400, "missingRequiredParameter")
    assert get(emulator, "/youtube/v3/comments?key=k")[0] == 404


def test_a_wrong_or_missing_key_is_refused_and_spends_no_quota(catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue, key="right") as emulator:
        listing = {"part": "snippet", "id": next(iter(catalogue.videos))}
        assert refusal(client(emulator, "wrong").videos().list(**listing)) == (400, "keyInvalid")
        assert get(emulator, "/youtube/v3/videos?part=snippet&id=x")[0] == 400
        assert emulator.counts.spent == {"units": 0, "searches": 0, "stats": 0}
        assert client(emulator, "right").videos().list(**listing).execute()["items"]
        assert emulator.counts.spent["units"] == 1


def test_a_spent_quota_answers_403_and_searches_have_their_own_quota(catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue, daily_units=2, daily_searches=1) as emulator:
        youtube = client(emulator)
        videos = youtube.videos().list(part="snippet", id=next(iter(catalogue.videos)))
        search = youtube.search().list(part="snippet", type="video")
        for _ in range(2):
            videos.execute()
        assert refusal(videos) == (403, "quotaExceeded")
        search.execute()
        assert refusal(search) == (403, "quotaExceeded")
        assert emulator.counts.spent == {"units": 2, "searches": 1, "stats": 0}
        emulator.advance(timedelta(days=1))
        videos.execute()


def test_categories_are_listed_by_id_and_by_region(emulator: Emulator) -> None:
    categories = client(emulator).videoCategories()
    selected = categories.list(part="snippet", id="20,999,28").execute()["items"]
    assert [item["snippet"]["title"] for item in selected] == ["Gaming", "Science & Technology"]
    assert len(categories.list(part="snippet", regionCode="AU").execute()["items"]) > 10


def test_the_clock_is_the_date_of_every_answer(emulator: Emulator, catalogue: SyntheticCatalogue) -> None:
    for path in ("/youtube/v3/search?part=snippet&key=k", "/youtube/v3/none", "/vi/nosuchvideo/hqdefault.jpg"):
        assert parsedate_to_datetime(get(emulator, path)[1]["Date"]) == catalogue.observed_at


def test_every_thumbnail_in_an_answer_has_the_stated_size(emulator: Emulator, catalogue: SyntheticCatalogue) -> None:
    video_id = next(iter(catalogue.videos))
    [item] = client(emulator).videos().list(part="snippet", id=video_id).execute()["items"]
    offered = item["snippet"]["thumbnails"]
    assert set(offered) == {"default", "medium", "high", "standard", "maxres"}
    for thumbnail in offered.values():
        with urlopen(thumbnail["url"]) as answer:
            body = answer.read()
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert size_of(body) == (thumbnail["width"], thumbnail["height"])
    assert emulator.counts.images == 5
    with urlopen(offered["maxres"]["url"]) as answer:
        assert answer.read() == catalogue.image(video_id)


def test_a_missing_picture_is_a_404_with_a_small_jpeg(emulator: Emulator, catalogue: SyntheticCatalogue) -> None:
    for path in ("/vi/nosuchvideo/hqdefault.jpg", f"/vi/{next(iter(catalogue.videos))}/hq720.jpg"):
        status, headers, body = get(emulator, path)
        assert (status, headers["Content-Type"], size_of(body)) == (404, "image/jpeg", (120, 90))
    assert (emulator.counts.images, emulator.counts.images_missing) == (0, 2)


@pytest.mark.slow
def test_eight_threads_get_the_bytes_they_asked_for_on_kept_connections(
    emulator: Emulator, catalogue: SyntheticCatalogue
) -> None:
    ids = list(catalogue.videos)[:240]

    def download(video_ids: list[str]) -> dict[str, bytes]:
        connection = http.client.HTTPConnection(urlsplit(emulator.endpoint).netloc, timeout=30)
        bodies = {}
        for video_id in video_ids:
            connection.request("GET", f"/vi/{video_id}/maxresdefault.jpg")
            socket = connection.sock
            bodies[video_id] = connection.getresponse().read()
            assert connection.sock is socket is not None
        connection.close()
        return bodies

    with ThreadPoolExecutor(8) as pool:
        received = [pair for part in pool.map(download, [ids[start::8] for start in range(8)]) for pair in part.items()]
    assert len(received) == len(ids) == emulator.counts.images
    assert all(body == catalogue.image(video_id) for video_id, body in received)


def test_stopping_closes_connections_and_frees_the_port(catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        address = urlsplit(emulator.endpoint)
        connection = http.client.HTTPConnection(address.netloc, timeout=5)
        connection.request("GET", "/vi/x/default.jpg")
        connection.getresponse().read()
    with pytest.raises((http.client.HTTPException, OSError)):
        connection.request("GET", "/vi/x/default.jpg")
        connection.getresponse()
    connection.close()
    with pytest.raises(OSError):
        http.client.HTTPConnection(address.netloc, timeout=5).connect()
    with Emulator(catalogue, port=address.port or 0) as again:
        assert again.endpoint == emulator.endpoint


class OnePicture(Catalogue):
    """A catalogue of one video with a given picture."""

    def __init__(self, picture: np.ndarray[Any, Any], title: str = "A title") -> None:
        moment = datetime(2025, 3, 5, 12, tzinfo=UTC)
        video = CatalogueVideo("abcdefghijk", "news", channel_id_of("A"), "A", title, 7, moment, 60)
        super().__init__([video], moment)
        self.picture = picture

    def image(self, video_id: str) -> bytes:
        return bytes(cv2.imencode(".jpg", self.picture)[1].tobytes()) if video_id in self.videos else b""

    def image_size(self, video_id: str) -> tuple[int, int]:
        return self.picture.shape[1], self.picture.shape[0]


def test_a_4_to_3_picture_is_cropped_in_the_wide_size_and_has_no_maxres() -> None:
    picture = np.zeros((480, 640, 3), np.uint8)
    picture[60:420] = 200
    with Emulator(OnePicture(picture)) as emulator:
        [item] = client(emulator).videos().list(part="snippet", id="abcdefghijk").execute()["items"]
        assert "maxres" not in item["snippet"]["thumbnails"]
        assert get(emulator, "/vi/abcdefghijk/maxresdefault.jpg")[0] == 404
        wide = cv2.imdecode(
            np.frombuffer(get(emulator, "/vi/abcdefghijk/mqdefault.jpg")[2], np.uint8), cv2.IMREAD_COLOR
        )
        assert wide is not None and wide.shape == (180, 320, 3)
        assert wide[2:-2].min() > 190


def test_a_wide_picture_has_bars_in_the_4_to_3_sizes() -> None:
    with Emulator(OnePicture(np.full((360, 640, 3), 200, np.uint8))) as emulator:
        body = get(emulator, "/vi/abcdefghijk/hqdefault.jpg")[2]
    high = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    assert high is not None and high.shape == (360, 480, 3)
    assert high[:40].max() < 15 and high[-40:].max() < 15 and high[50:-50].min() > 190


def test_titles_are_escaped_in_search_results_but_not_in_videos() -> None:
    with Emulator(OnePicture(np.zeros((360, 640, 3), np.uint8), title='It\'s <b> & "b"')) as emulator:
        youtube = client(emulator)
        [result] = youtube.search().list(part="snippet", type="video").execute()["items"]
        [item] = youtube.videos().list(part="snippet", id="abcdefghijk").execute()["items"]
    assert result["snippet"]["title"] == "It&#39;s &lt;b&gt; &amp; &quot;b&quot;"
    assert item["snippet"]["title"] == 'It\'s <b> & "b"'
