"""Tests of the YouTube client, which uses Google's own library. The tests call the emulator over real sockets.

Many threads may use one client. A failed call is repeated only if its fault may be temporary. The API key appears in no
error, log or URL.
"""

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from catalogues import Edited
from local_server import Handler, local_server, url_of

from demo import faults
from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator
from thumblab_core.errors import LabError
from thumblab_core.settings import Settings
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.youtube import transport
from thumblab_pipelines.youtube.client import SearchQuery, YouTube
from thumblab_pipelines.youtube.errors import ErrorKind, YouTubeError
from thumblab_pipelines.youtube.quota import Ledger, QuotaError

SECRET = "AIzaSecretOfTheTests"


@pytest.fixture
def lab(open_lab: Callable[..., Lab]) -> Lab:
    return open_lab()


@pytest.fixture
def emulator(catalogue: SyntheticCatalogue) -> Iterator[Emulator]:
    with Emulator(catalogue, key=SECRET) as running:
        yield running


def connect(lab: Lab, emulator: Emulator, **changes: Any) -> YouTube:
    """Return a client for the emulator. `changes` has settings that replace the settings of the lab."""
    chosen = {"youtube_endpoint": emulator.endpoint, "youtube_api_key": SECRET, "youtube_first_wait_s": 0.01} | changes
    return YouTube.connect(Settings(**(lab.settings.model_dump(exclude_unset=True) | chosen)), lab.engine)


@pytest.mark.parametrize("answers", [400, pytest.param(2_000, marks=pytest.mark.heavy)])
def test_each_of_eight_threads_gets_the_answers_to_its_own_requests(
    lab: Lab, emulator: Emulator, catalogue: SyntheticCatalogue, answers: int
) -> None:
    videos, channels = list(catalogue.videos.values()), list(catalogue.channels.values())
    barrier = threading.Barrier(8)

    def answer_matches(number: int, youtube: YouTube) -> bool:
        if number < 8:
            barrier.wait()  # All eight threads start at the same time.
        video, channel = videos[number % len(videos)], channels[number % len(channels)]
        match number % 4:
            case 0:
                [record] = youtube.videos([video.video_id], "tech")
                return (record.video_id, record.title) == (video.video_id, video.title)
            case 1:
                [channel_record] = youtube.channels([channel.channel_id])
                return (channel_record.channel_id, channel_record.title) == (channel.channel_id, channel.title)
            case 2:
                page = youtube.uploads(channel.uploads_playlist)
                return {item.video_id for item in page.items} <= {v.video_id for v in channel.videos} and bool(
                    page.items
                )
            case _:
                [counts], _at = youtube.statistics([video.video_id])
                return (counts.video_id, counts.view_count) == (video.video_id, video.views)

    with connect(lab, emulator) as youtube, ThreadPoolExecutor(8) as threads:
        matches = list(threads.map(lambda number: answer_matches(number, youtube), range(answers)))
    assert len(matches) == answers
    assert all(matches)
    assert sum(emulator.counts.calls.values()) == answers
    balances = Ledger.of(lab.engine, lab.settings).balances(emulator.now)
    assert {balance.bucket: balance.spent for balance in balances} == emulator.counts.spent


TRANSIENT: dict[str, Any] = {
    "rate, 403": faults.refusal(403, "rateLimitExceeded"),
    "rate of a user": faults.refusal(403, "userRateLimitExceeded"),
    "rate, 429 per minute": faults.refusal(429, "rateLimitExceeded", quota_limit="defaultPerMinutePerProject"),
    "500": faults.refusal(500, "backendError"),
    "503": faults.refusal(503, "backendError"),
    "502 in HTML": faults.html_error(502),
    "a sign-in page": faults.wrong_content_type(),
    "half an answer": faults.cut_off(),
    "no answer": faults.hang_up(),
    "no JSON": faults.garbage(),
}


@pytest.mark.parametrize("name", TRANSIENT)
def test_transient_errors_are_retried_until_they_pass(
    lab: Lab, emulator: Emulator, catalogue: SyntheticCatalogue, name: str
) -> None:
    failures = 2
    video_id = next(iter(catalogue.videos))
    with connect(lab, emulator) as youtube:
        emulator.inject(TRANSIENT[name], endpoint="videos", times=failures)
        assert [record.video_id for record in youtube.videos([video_id], "tech")] == [video_id]
    assert emulator.counts.calls["videos"] >= failures + 1


LASTING: dict[str, tuple[Any, ErrorKind, str]] = {
    "rate, 403": (TRANSIENT["rate, 403"], ErrorKind.RATE, "YouTube asks the lab to slow down (403 rateLimitExceeded"),
    "rate of a user": (TRANSIENT["rate of a user"], ErrorKind.RATE, "slow down (403 userRateLimitExceeded"),
    "rate, 429 per minute": (TRANSIENT["rate, 429 per minute"], ErrorKind.RATE, "slow down (429 rateLimitExceeded"),
    "500": (TRANSIENT["500"], ErrorKind.SERVER, "YouTube has a problem of its own (500 backendError"),
    "503": (TRANSIENT["503"], ErrorKind.SERVER, "a problem of its own (503 backendError"),
    "502 in HTML": (TRANSIENT["502 in HTML"], ErrorKind.SERVER, "a problem of its own (502)"),
    "a sign-in page": (
        TRANSIENT["a sign-in page"],
        ErrorKind.SERVER,
        "does not answer like YouTube's API (no JSON)",
    ),
    "no JSON": (TRANSIENT["no JSON"], ErrorKind.SERVER, "does not answer like YouTube's API (no JSON)"),
    "half an answer": (TRANSIENT["half an answer"], ErrorKind.TIMEOUT, "could not be reached at"),
    "no answer": (TRANSIENT["no answer"], ErrorKind.TIMEOUT, "could not be reached at"),
    "a wrong key": (faults.refusal(400, "keyInvalid"), ErrorKind.KEY, "refused the API key (400 keyInvalid"),
    "a wrong key, as of late": (
        faults.refusal(400, "API_KEY_INVALID"),
        ErrorKind.KEY,
        "check THUMBLAB_YOUTUBE_API_KEY",
    ),
    "the API is off": (faults.refusal(403, "accessNotConfigured"), ErrorKind.KEY, "Data API v3 is enabled"),
    "the key comes back": (faults.echo_key(), ErrorKind.KEY, "Requests with the API key [key] from this address"),
    "no such playlist": (
        faults.refusal(404, "playlistNotFound"),
        ErrorKind.NOT_FOUND,
        "no longer has the requested item",
    ),
    "a bad request": (faults.refusal(400, "invalidFilters"), ErrorKind.REQUEST, "refused a call (400 invalidFilters"),
    "forbidden": (faults.refusal(403, "forbidden"), ErrorKind.REQUEST, "refused a call (403 forbidden"),
}


@pytest.mark.parametrize("name", LASTING)
def test_lasting_error_is_one_line_that_names_it_and_never_the_key(
    lab: Lab, emulator: Emulator, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    fault, trouble, sentence = LASTING[name]
    with connect(lab, emulator) as youtube, caplog.at_level(logging.DEBUG):
        emulator.inject(fault, endpoint="videos", times=None)
        with pytest.raises(YouTubeError) as caught:
            youtube.videos(["aaaaaaaaaaa"], "tech")
    error = caught.value
    assert error.kind is trouble
    assert sentence in str(error)
    assert str(error).count("\n") == 0
    assert error.transient == (trouble in (ErrorKind.RATE, ErrorKind.SERVER, ErrorKind.TIMEOUT))
    for text in (str(error), str(caught.getrepr(style="long", showlocals=False)), caplog.text):
        assert SECRET not in text


def test_a_wrong_key_spends_no_quota_and_is_not_retried(lab: Lab, emulator: Emulator) -> None:
    with connect(lab, emulator, youtube_api_key="AIzaAnother") as youtube:
        with pytest.raises(YouTubeError, match="keyInvalid"):
            youtube.videos(["aaaaaaaaaaa"], "tech")
        assert youtube.ledger.spent["units"] == 0
    assert emulator.counts.calls == {"videos": 1}


@pytest.mark.parametrize("limit", [None, "defaultPerDayPerProject"])
def test_spent_daily_quota_is_not_retried_even_if_the_ledger_has_units_left(
    lab: Lab, emulator: Emulator, limit: str | None
) -> None:
    fault = (
        faults.refusal(429, "rateLimitExceeded", quota_limit=limit) if limit else faults.refusal(403, "quotaExceeded")
    )
    with connect(lab, emulator) as youtube:
        emulator.inject(fault, endpoint="videos", times=1)
        with pytest.raises(QuotaError, match=r"YouTube says.*2026-11-21 08:00 UTC"):
            youtube.videos(["aaaaaaaaaaa"], "tech")
        with pytest.raises(QuotaError):  # The ledger has recorded that the quota is spent, so no call is made.
            youtube.channels(["UCaaaaaaaaaaaaaaaaaaaaaa"])
        assert emulator.counts.calls == {"videos": 1}
        emulator.advance(timedelta(days=1))
    with connect(lab, emulator) as youtube:
        assert youtube.videos(["aaaaaaaaaaa"], "tech") == []


def test_requested_wait_is_observed(lab: Lab, emulator: Emulator, catalogue: SyntheticCatalogue) -> None:
    with connect(lab, emulator) as youtube:
        emulator.inject(faults.refusal(429, "rateLimitExceeded", retry_after=1), endpoint="videos")
        started = time.monotonic()
        assert youtube.videos([next(iter(catalogue.videos))], "tech")
    assert time.monotonic() - started >= 1


def test_slow_answer_times_out(lab: Lab, emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_TIMEOUT_S", 0.1)
    monkeypatch.setattr(transport, "_TRIES", 2)
    with connect(lab, emulator) as youtube:
        emulator.inject(faults.slow(0.5), endpoint="videos", times=None)
        with pytest.raises(YouTubeError, match=r"could not be reached.*TimeoutError") as caught:
            youtube.videos(["aaaaaaaaaaa"], "tech")
    assert caught.value.kind is ErrorKind.TIMEOUT


def test_key_is_in_no_url_not_even_in_the_log_of_googles_library(
    lab: Lab, emulator: Emulator, catalogue: SyntheticCatalogue, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), connect(lab, emulator) as youtube:
        youtube.videos([next(iter(catalogue.videos))], "tech")
        assert youtube.search(SearchQuery("US", 28), emulator.now - timedelta(days=90)).items
    assert "/youtube/v3/videos" in caplog.text  # Google's client has logged the URL.
    assert SECRET not in caplog.text
    assert "key=" not in caplog.text


def test_redirect_is_not_followed_because_it_would_send_the_key_elsewhere(lab: Lab, emulator: Emulator) -> None:
    requests: list[str] = []

    class Elsewhere(Handler):
        def do_GET(self) -> None:
            requests.append(str(self.headers))
            self.send_response(200)
            self.end_headers()

        def do_HEAD(self) -> None:
            self.do_GET()

    class Redirecting(Elsewhere):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", f"{url_of(elsewhere)}/")
            self.end_headers()

    with local_server(Elsewhere) as elsewhere, local_server(Redirecting) as redirecting:
        url = f"{url_of(redirecting)}/"
        refused = pytest.raises(YouTubeError, match=r"302.*does not answer like YouTube's API")
        with connect(lab, emulator, youtube_endpoint=url) as youtube, refused:
            youtube.videos(["aaaaaaaaaaa"], "tech")
    assert requests == []


def test_time_is_that_of_youtubes_server(lab: Lab, emulator: Emulator, catalogue: SyntheticCatalogue) -> None:
    with connect(lab, emulator) as youtube:
        assert youtube.now == catalogue.observed_at
        assert emulator.counts.spent["units"] == 0
        emulator.advance(timedelta(hours=5))
        _, at = youtube.statistics([next(iter(catalogue.videos))])
        assert at == youtube.now == catalogue.observed_at + timedelta(hours=5)


def test_missing_videos_are_left_out_and_hidden_counts_are_none(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    first, hidden, gone, *_ = catalogue.videos.values()
    with_hidden_counts = Edited(catalogue, lambda v: dataclasses.replace(v, hidden_counts=True) if v == hidden else v)
    with Emulator(with_hidden_counts, key=SECRET) as emulator:
        emulator.remove(gone.video_id)
        with connect(lab, emulator) as youtube:
            ids = [first.video_id, hidden.video_id, gone.video_id]
            by_id = {record.video_id: record for record in youtube.videos(ids, "tech")}
            counted = {counts.video_id: counts for counts in youtube.statistics(ids)[0]}
    assert set(by_id) == set(counted) == {first.video_id, hidden.video_id}
    assert by_id[first.video_id].view_count == counted[first.video_id].view_count == first.views
    assert by_id[hidden.video_id].like_count is counted[hidden.video_id].like_count is None


def test_missing_key_is_an_error_that_names_the_setting(lab: Lab) -> None:
    with pytest.raises(LabError, match="THUMBLAB_YOUTUBE_API_KEY"):
        YouTube.connect(lab.settings, lab.engine)


def test_search_times_are_sent_in_utc(lab: Lab, emulator: Emulator) -> None:
    with connect(lab, emulator) as youtube:
        after = datetime(2026, 11, 1, 10, tzinfo=UTC)
        before = datetime(2026, 11, 8, 10, tzinfo=UTC)
        page = youtube.search(SearchQuery("US", 28), after, before)
        times = [record.published_at for record in youtube.videos([hit.video_id for hit in page.items], "tech")]
    assert times
    assert all(after <= moment < before for moment in times)
