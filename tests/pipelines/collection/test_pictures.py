"""Promises of downloading thumbnails."""

import dataclasses
import io
import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import delete, insert, select, text, update

from demo import faults
from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator
from demo.messages import Reply, Request
from demo.pictures import missing
from thumblab_core.database.tables import thumbnail_versions, thumbnails, video_stats, videos
from thumblab_core.errors import LabError
from thumblab_core.fetch import Fetcher
from thumblab_core.images import digest
from thumblab_core.niches import NICHES
from thumblab_core.settings import Settings
from thumblab_pipelines.collection import download, retrying_fetch
from thumblab_pipelines.collection.download import check_thumbnails, download_thumbnails
from thumblab_pipelines.collection.refresh import collect
from thumblab_pipelines.lab import Lab

KEY = "k"


@pytest.fixture
def lab(open_lab: Callable[..., Lab], catalogue: SyntheticCatalogue) -> Lab:
    """Collected, without pictures; the emulator that it was collected from is gone."""
    opened = open_lab()
    with Emulator(catalogue) as emulator:
        collect(at(opened, emulator), "tech")
    return opened


def at(lab: Lab, emulator: Emulator, **more: Any) -> Lab:
    chosen = {"youtube_endpoint": emulator.endpoint, "youtube_api_key": KEY} | more
    return dataclasses.replace(lab, settings=Settings(**(lab.settings.model_dump(exclude_unset=True) | chosen)))


SIZES = ("maxresdefault", "sddefault", "hqdefault", "mqdefault", "default")


def move(lab: Lab, emulator: Emulator, sizes: tuple[str, ...] = SIZES, **settings: Any) -> Lab:
    """The lab, with the pictures of its videos where this emulator is."""
    with lab.engine.begin() as connection:
        for name in rows_of_videos(lab):
            urls = [f"{emulator.endpoint}vi/{name}/{size}.jpg" for size in sizes]
            values = {"thumbnail_urls": urls, "refreshed_at": emulator.now}
            connection.execute(update(videos).where(videos.c.video_id == name).values(values))
    return at(lab, emulator, **settings)


def later(lab: Lab, emulator: Emulator, **by: float) -> None:
    """Let time pass, after which the niche was collected again."""
    emulator.advance(timedelta(**by))
    with lab.engine.begin() as connection:
        connection.execute(update(videos).values(refreshed_at=emulator.now))


def versions(lab: Lab, name: str) -> list[Any]:
    statement = select(thumbnail_versions).where(thumbnail_versions.c.video_id == name)
    with lab.engine.connect() as connection:
        return list(connection.execute(statement.order_by(thumbnail_versions.c.first_seen)))


def row_of(lab: Lab, name: str) -> Any:
    return next(row for row in rows(lab) if row.video_id == name)


def encoded_anew(data: bytes, quality: int = 60) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).save(out, "JPEG", quality=quality)
    return out.getvalue()


def asked(emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths that the emulator is asked for from now on."""
    paths: list[str] = []
    real = emulator.respond

    def respond(request: Request) -> Reply:
        paths.append(request.path)
        return real(request)

    monkeypatch.setattr(emulator, "respond", respond)
    return paths


def rows(lab: Lab) -> list[Any]:
    with lab.engine.connect() as connection:
        return list(connection.execute(select(thumbnails).order_by(thumbnails.c.video_id)))


def test_every_picture_is_stored_once_under_the_hash_of_its_bytes(small: Any) -> None:
    assert sum(found.downloaded for found in small.downloaded.values()) == 150
    for row in rows(small.lab):
        assert row.problem is None
        assert (row.width, row.height) == (640, 360)
        small.lab.images.get(row.sha256)
    assert all(verdict.passed for niche in NICHES for verdict in check_thumbnails(small.lab, niche))


def test_downloading_again_asks_for_nothing(small: Any) -> None:
    before = small.emulator.counts
    again = [download_thumbnails(small.lab, niche) for niche in NICHES]
    assert small.emulator.counts == before
    assert [found.downloaded for found in again] == [0] * 7
    assert sum(found.had for found in again) == 150


def test_the_best_size_is_taken_and_a_404_though_it_is_a_picture_falls_to_the_next(
    lab: Lab, catalogue: SyntheticCatalogue
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator, ("hq720", "sddefault", "mqdefault"))
        found = download_thumbnails(lab, "tech")
        counts = emulator.counts
    assert found.downloaded == len(rows(lab)) == counts.images == counts.images_missing
    for row in rows(lab):
        assert row.url.endswith("/sddefault.jpg")
        assert (row.width, row.height) == (640, 360)
        with Image.open(io.BytesIO(lab.images.get(row.sha256))) as stored:
            assert stored.size == (640, 480)  # as the server sent it


def test_the_placeholder_is_no_picture_even_when_the_server_says_it_is_well(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        first, *_, last = rows_of_videos(lab)
        real = emulator.picture

        def picture(name: str, file: str) -> bytes | None:
            return missing() if file == "maxresdefault.jpg" or name == last else real(name, file)

        monkeypatch.setattr(emulator, "picture", picture)
        found = download_thumbnails(lab, "tech")
    assert found.unreadable == 0
    assert row_of(lab, first).url.endswith("/sddefault.jpg")
    assert row_of(lab, last).url.endswith("/default.jpg")  # which is that small anyway


def test_a_picture_of_which_every_size_is_gone_is_recorded_and_asked_for_again_only_after_the_interval(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        gone = rows_of_videos(lab)[:3]
        real = emulator.picture
        monkeypatch.setattr(emulator, "picture", lambda name, file: None if name in gone else real(name, file))
        found = download_thumbnails(lab, "tech")
        paths = asked(emulator, monkeypatch)
        again = download_thumbnails(lab, "tech")
        assert paths == []
        assert [row.video_id for row in rows(lab) if row.sha256 is None] == gone
        assert all("maxresdefault.jpg answered 404" in row.problem for row in rows(lab) if row.sha256 is None)
        assert versions(lab, gone[0]) == []
        later(lab, emulator, days=8)
        still = download_thumbnails(lab, "tech")
        monkeypatch.setattr(emulator, "picture", real)
        later(lab, emulator, days=8)
        back = download_thumbnails(lab, "tech")
    assert (found.unreadable, found.postponed) == (3, 0)
    assert (again.downloaded, again.unreadable, again.postponed, again.rechecked) == (0, 0, 0, 0)
    assert (still.unreadable, still.gone) == (3, 0)
    assert (back.downloaded, back.unreadable) == (3, 0)
    assert all(row.problem is None for row in rows(lab))
    assert len(versions(lab, gone[0])) == 1


def test_bytes_that_are_no_picture_are_recorded_with_the_reason(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        monkeypatch.setattr(emulator, "picture", lambda *_: b"<html>a captive portal</html>")
        found = download_thumbnails(lab, "tech")
    assert found.downloaded == 0
    assert {row.problem for row in rows(lab)} == {"not a JPEG, PNG or WebP picture"}
    assert not next(v for v in check_thumbnails(lab, "tech") if v.name == "mostly_readable").passed


def test_when_nothing_can_be_reached_it_is_an_error_and_everything_is_tried_again_next_time(
    lab: Lab, catalogue: SyntheticCatalogue
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
    with pytest.raises(LabError, match=r"none of the .* could be reached"):
        download_thumbnails(lab, "tech")
    assert rows(lab) == []
    with Emulator(catalogue) as emulator:
        assert download_thumbnails(move(lab, emulator), "tech").downloaded == len(rows(lab)) > 15


def test_a_picture_of_a_host_nobody_named_is_not_fetched_and_does_not_stop_the_others(
    lab: Lab, catalogue: SyntheticCatalogue
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        first = rows_of_videos(lab)[0]
        with lab.engine.begin() as connection:
            elsewhere = "http://169.254.169.254/latest/meta-data/"
            connection.execute(update(videos).where(videos.c.video_id == first).values(thumbnail_urls=[elsewhere]))
        found = download_thumbnails(lab, "tech")
    assert found.postponed == 1
    assert first not in {row.video_id for row in rows(lab)}


def rows_of_videos(lab: Lab) -> list[str]:
    with lab.engine.connect() as connection:
        return list(connection.scalars(select(videos.c.video_id).order_by(videos.c.video_id)))


def test_a_picture_that_is_lost_from_the_store_is_noticed(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        download_thumbnails(lab, "tech")
    lab.images.path(rows(lab)[0].sha256).unlink()
    assert not next(v for v in check_thumbnails(lab, "tech") if v.name == "stored").passed


def test_an_unchanged_picture_costs_a_304_and_no_bytes_and_is_known_to_last(
    lab: Lab, catalogue: SyntheticCatalogue
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        first = emulator.now
        download_thumbnails(lab, "tech")
        before, counts = rows(lab), emulator.counts
        later(lab, emulator, days=8)
        found = download_thumbnails(lab, "tech")
        now = emulator.now
        assert emulator.counts.images == counts.images
        assert emulator.counts.images_not_modified == len(before)
    assert (found.rechecked, found.unchanged, found.bytes, found.changed) == (len(before), len(before), 0, 0)
    for old, new in zip(before, rows(lab), strict=True):
        assert (old.fetched_at, old.checked_at) == (first, first)
        assert (new.fetched_at, new.checked_at) == (first, now)
        assert (new.sha256, new.etag, new.url, new.phash) == (old.sha256, old.etag, old.url, old.phash)
        (version,) = versions(lab, new.video_id)
        assert (version.first_seen, version.last_seen, version.sha256) == (first, now, new.sha256)


def test_the_same_bytes_without_a_304_are_the_same_picture(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        download_thumbnails(lab, "tech")
        with lab.engine.begin() as connection:
            connection.execute(update(thumbnails).values(etag=None, last_modified=None))
        later(lab, emulator, days=8)
        found = download_thumbnails(lab, "tech")
    assert found.unchanged == len(rows(lab))
    assert found.bytes > 0
    assert all(row.etag for row in rows(lab))


def test_a_changed_thumbnail_keeps_both_versions_and_is_an_experiment(
    lab: Lab, catalogue: SyntheticCatalogue, drawn: Callable[..., bytes]
) -> None:
    other = drawn(77, size=(1280, 720))
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        first = emulator.now
        download_thumbnails(lab, "tech")
        name = rows_of_videos(lab)[0]
        old = row_of(lab, name)
        later(lab, emulator, days=8)
        middle = emulator.now
        download_thumbnails(lab, "tech")
        emulator.change_thumbnail(name, other)
        later(lab, emulator, days=8)
        with lab.engine.begin() as connection:
            old_title = connection.scalar(select(videos.c.title).where(videos.c.video_id == name))
            connection.execute(update(videos).where(videos.c.video_id == name).values(title="Another title"))
        found = download_thumbnails(lab, "tech")
        seen = emulator.now
        later(lab, emulator, days=8)
        again = download_thumbnails(lab, "tech")
        end = emulator.now
    assert (found.changed, found.rechecked) == (1, len(rows(lab)))
    assert (again.changed, again.unchanged) == (0, len(rows(lab)))
    new = row_of(lab, name)
    assert (new.sha256, new.fetched_at, new.checked_at) == (digest(other), seen, end)
    assert new.etag != old.etag
    assert new.phash != old.phash
    assert lab.images.get(old.sha256)
    assert lab.images.get(new.sha256) == other
    before, after = versions(lab, name)
    assert (before.sha256, before.first_seen, before.last_seen, before.title) == (old.sha256, first, middle, old_title)
    assert (after.sha256, after.first_seen, after.last_seen, after.title) == (new.sha256, seen, end, "Another title")
    with lab.engine.begin() as connection:
        connection.execute(delete(video_stats).where(video_stats.c.video_id == name))
        counts = ((first, 1_000), (middle, 2_920), (seen, 5_000), (end, 12_680))
        connection.execute(
            insert(video_stats),
            [{"video_id": name, "observed_at": when, "view_count": n, "era": "qualified"} for when, n in counts],
        )
        (swap,) = connection.execute(text("SELECT * FROM thumbnail_changes")).all()
    assert (swap.video_id, swap.old_sha256, swap.new_sha256) == (name, old.sha256, new.sha256)
    assert (swap.old_title, swap.new_title) == (old_title, "Another title")
    assert (float(swap.views_per_hour_before), float(swap.views_per_hour_after)) == (10.0, 40.0)


def test_a_picture_that_was_only_encoded_anew_is_not_a_change(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        download_thumbnails(lab, "tech")
        name = rows_of_videos(lab)[0]
        old = row_of(lab, name)
        emulator.change_thumbnail(name, encoded_anew(lab.images.get(old.sha256)))
        later(lab, emulator, days=8)
        found = download_thumbnails(lab, "tech")
        now, counts = emulator.now, emulator.counts
        later(lab, emulator, days=8)
        download_thumbnails(lab, "tech")
        assert emulator.counts.images == counts.images  # its new tag is known
    assert (found.changed, found.unchanged) == (0, len(rows(lab)))
    new = row_of(lab, name)
    assert (new.sha256, new.fetched_at) == (old.sha256, old.fetched_at)
    assert new.etag != old.etag
    (version,) = versions(lab, name)
    assert version.sha256 == old.sha256
    assert version.last_seen > now


def test_a_better_size_that_appears_later_is_no_change_of_the_picture(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator, ("sddefault",))
        download_thumbnails(lab, "tech")
        lab = move(lab, emulator)
        later(lab, emulator, days=8)
        found = download_thumbnails(lab, "tech")
    assert (found.changed, found.unchanged) == (0, len(rows(lab)))
    assert all(row.url.endswith("/maxresdefault.jpg") for row in rows(lab))


def test_a_known_picture_whose_address_is_gone_is_kept_and_counted(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        download_thumbnails(lab, "tech")
        name = rows_of_videos(lab)[0]
        old = row_of(lab, name)
        emulator.remove(name)
        later(lab, emulator, days=8)
        found = download_thumbnails(lab, "tech")
        again = download_thumbnails(lab, "tech")
    assert (found.gone, found.unchanged, found.unreadable) == (1, len(rows(lab)) - 1, 0)
    assert again.rechecked == 0
    new = row_of(lab, name)
    assert (new.sha256, new.problem) == (old.sha256, None)
    assert lab.images.get(new.sha256)
    (version,) = versions(lab, name)
    assert version.last_seen == old.checked_at


def test_young_videos_are_checked_daily_and_others_weekly(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        young, *others = rows_of_videos(lab)
        with lab.engine.begin() as connection:
            old = emulator.now - timedelta(days=60)
            connection.execute(update(videos).values(published_at=old))
            recent = update(videos).where(videos.c.video_id == young)
            connection.execute(recent.values(published_at=emulator.now - timedelta(days=1)))
        download_thumbnails(lab, "tech")
        assert download_thumbnails(lab, "tech").rechecked == 0
        later(lab, emulator, hours=23)  # a daily run that is a little early
        assert download_thumbnails(lab, "tech").rechecked == 1
        later(lab, emulator, days=5)
        assert download_thumbnails(lab, "tech").rechecked == 1
        later(lab, emulator, days=1, hours=1)
        assert download_thumbnails(lab, "tech").rechecked == 1 + len(others)
        monthly = move(lab, emulator, thumbnail_recheck_days=30.0)
        later(lab, emulator, days=20)
        assert download_thumbnails(monthly, "tech").rechecked == 0  # the young one is not any more


def test_a_run_checks_no_more_than_it_may_the_longest_unchecked_first(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator, thumbnail_rechecks=7)
        download_thumbnails(lab, "tech")
        checked: list[set[str]] = []
        for _ in range(3):
            later(lab, emulator, days=8)  # every one is due again
            assert download_thumbnails(lab, "tech").rechecked == 7
            checked.append({row.video_id for row in rows(lab) if row.checked_at == emulator.now})
    assert len(set().union(*checked)) == min(21, len(rows(lab)))


def test_a_host_that_is_busy_is_waited_for_as_long_as_it_says(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        emulator.inject(faults.refusal(429, "rateLimitExceeded", retry_after=1), endpoint="image", times=3)
        start = time.monotonic()
        found = download_thumbnails(lab, "tech")
        took = time.monotonic() - start
    assert (found.downloaded, found.postponed) == (len(rows_of_videos(lab)), 0)
    assert took >= 1


def test_while_one_thread_was_told_to_wait_no_other_asks(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    with Emulator(catalogue) as emulator, Fetcher([emulator.endpoint[7:-1]]) as fetcher:
        patient = retrying_fetch.RetryingFetcher(
            fetcher, sleep=lambda seconds: (waited.append(seconds), time.sleep(seconds))[1]
        )
        url = f"{emulator.endpoint}vi/{rows_of_videos(lab)[0]}/mqdefault.jpg"
        emulator.inject(faults.refusal(503, "backendError", retry_after=1), endpoint="image")
        moments: list[float] = []
        real = emulator.respond
        monkeypatch.setattr(emulator, "respond", lambda request: (moments.append(time.monotonic()), real(request))[1])
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(4) as threads:
            one = threads.submit(patient.get, url)
            while not any(seconds > 0.5 for seconds in waited):
                time.sleep(0.01)
            others = [threads.submit(patient.get, url) for _ in range(3)]
            assert all(asking.result().body for asking in (one, *others))
    assert len(moments) == 5
    assert moments[1] - moments[0] >= 0.9


@pytest.mark.parametrize("status", [429, 503])
def test_a_host_that_does_not_say_how_long_is_asked_again_more_and_more_slowly(
    lab: Lab, catalogue: SyntheticCatalogue, status: int
) -> None:
    waited: list[float] = []
    with Emulator(catalogue) as emulator, Fetcher([emulator.endpoint[7:-1]]) as fetcher:
        url = f"{emulator.endpoint}vi/{rows_of_videos(lab)[0]}/mqdefault.jpg"
        patient = retrying_fetch.RetryingFetcher(fetcher, sleep=waited.append)
        emulator.inject(faults.refusal(status, "backendError"), endpoint="image", times=retrying_fetch.TRIES - 1)
        assert patient.get(url).body
        assert len(waited) == retrying_fetch.TRIES - 1
        assert all(0 <= seconds <= 0.5 * 2**n for n, seconds in enumerate(waited))
        emulator.inject(faults.refusal(status, "backendError"), endpoint="image", times=retrying_fetch.TRIES)
        with pytest.raises(LabError, match=f"answered {status}"):
            patient.get(url)


def test_a_host_that_asks_to_be_left_alone_for_long_is_left_alone(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        emulator.inject(faults.refusal(429, "rateLimitExceeded", retry_after=3_600), endpoint="image", times=None)
        paths = asked(emulator, monkeypatch)
        with pytest.raises(LabError, match=r"none of the .* could be reached"):
            download_thumbnails(lab, "tech")
        assert len(paths) <= download._THREADS
    assert rows(lab) == []


def test_one_broken_answer_costs_its_own_picture_only_and_is_tried_again(
    lab: Lab, catalogue: SyntheticCatalogue
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        for fault in (faults.cut_off(), faults.hang_up(), faults.garbage()):
            emulator.inject(fault, endpoint="image")
        found = download_thumbnails(lab, "tech")
        count = len(rows_of_videos(lab))
        assert (found.downloaded, found.postponed, found.unreadable) == (count - 3, 2, 1)
        again = download_thumbnails(lab, "tech")
    assert (again.downloaded, again.postponed) == (2, 0)


def test_a_broken_answer_does_not_harm_a_picture_that_is_known(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        download_thumbnails(lab, "tech")
        before = rows(lab)
        later(lab, emulator, days=8)
        emulator.inject(faults.wrong_content_type(), endpoint="image", times=None)
        found = download_thumbnails(lab, "tech")
        assert (found.postponed, found.rechecked) == (len(before), 0)
        assert rows(lab) == before
        emulator.heal()
        assert download_thumbnails(lab, "tech").unchanged == len(before)


def test_a_run_that_is_stopped_keeps_every_batch_it_finished(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: str, done: int, __: int) -> None:
        if done == 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(download, "_BATCH", 5)
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        with pytest.raises(KeyboardInterrupt):
            download_thumbnails(lab, "tech", stop)
        assert len(rows(lab)) == 10
        found = download_thumbnails(lab, "tech")
    assert found.had == 10
    assert found.downloaded == len(rows(lab)) - 10


def test_a_full_disk_is_said_to_be_one_and_what_was_stored_stays(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = os.fsync, []

    def full(handle: int) -> None:
        written.append(handle)
        if len(written) > 4:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        with pytest.raises(LabError, match=r"cannot be written \(No space left on device\)"):
            download_thumbnails(lab, "tech")
    assert len(rows(lab)) == 4


def test_what_killed_writers_left_vanishes_with_the_next_download(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    folder = lab.images.root / "ab"
    folder.mkdir(parents=True)
    for name, age in ((".new-dead", 7_200), (".new-living", 5)):
        (folder / name).write_bytes(b"half a pict")
        os.utime(folder / name, (time.time() - age,) * 2)
    with Emulator(catalogue) as emulator:
        download_thumbnails(move(lab, emulator), "tech")
    assert [path.name for path in lab.images.root.rglob(".new-*")] == [".new-living"]


def test_a_video_that_is_forgotten_during_the_download_stops_nothing(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        first, *others = rows_of_videos(lab)
        real = emulator.picture

        def picture(name: str, file: str) -> bytes | None:
            if name == first:
                with lab.engine.begin() as connection:
                    connection.execute(delete(videos).where(videos.c.video_id == first))
            return real(name, file)

        monkeypatch.setattr(emulator, "picture", picture)
        download_thumbnails(lab, "tech")
    assert [row.video_id for row in rows(lab)] == others


def test_pictures_that_are_shared_and_pictures_that_look_alike_are_counted(
    lab: Lab, catalogue: SyntheticCatalogue, drawn: Callable[..., bytes]
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        names = rows_of_videos(lab)
        for seed, name in enumerate(names):
            emulator.change_thumbnail(name, drawn(1_000 + seed, size=(1280, 720)))
        for name in names[:3]:
            emulator.change_thumbnail(name, drawn(5, size=(1280, 720)))
        emulator.change_thumbnail(names[3], encoded_anew(drawn(5, size=(1280, 720))))
        found = download_thumbnails(lab, "tech")
    assert (found.duplicates, found.near_duplicates) == (3, 2)


def test_pictures_stored_before_there_were_hashes_get_theirs(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator, ("sddefault",))
        download_thumbnails(lab, "tech")
        before = rows(lab)
        with lab.engine.begin() as connection:
            connection.execute(update(thumbnails).values(phash=None, width=640, height=480))
            connection.execute(update(thumbnail_versions).values(phash=None))
        lab.images.path(before[0].sha256).unlink()
        download_thumbnails(lab, "tech")
    assert rows(lab)[0].phash is None
    assert rows(lab)[1:] == before[1:]
    assert versions(lab, before[1].video_id)[0].phash == before[1].phash


def test_a_picture_that_is_lost_from_the_store_is_fetched_again_when_it_is_due(
    lab: Lab, catalogue: SyntheticCatalogue
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        download_thumbnails(lab, "tech")
        lost = rows(lab)[0]
        lab.images.path(lost.sha256).unlink()
        later(lab, emulator, days=8)
        found = download_thumbnails(lab, "tech")
    assert (found.changed, found.unchanged) == (0, len(rows(lab)))
    assert lab.images.get(lost.sha256)
