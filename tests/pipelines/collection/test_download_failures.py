"""Tests that a run loses as few pictures as possible when a host, the network or the disk fails."""

import dataclasses
import os
import time

import pytest
from downloading import asked, move, rows, video_ids
from object_store_server import running_s3
from pydantic import SecretStr
from sqlalchemy import delete

from demo import faults
from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import videos
from thumblab_core.errors import LabError
from thumblab_core.fetch import Fetcher
from thumblab_core.image_store import image_store
from thumblab_core.image_store.objects import ImageObjects
from thumblab_pipelines.collection import download, retrying_fetch
from thumblab_pipelines.collection.download import download_thumbnails
from thumblab_pipelines.lab import Lab


@pytest.fixture
def lab(collected_lab: Lab) -> Lab:
    return collected_lab


def test_if_nothing_can_be_reached_it_is_an_error_and_the_next_run_tries_again(
    lab: Lab, catalogue: SyntheticCatalogue
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
    with pytest.raises(LabError, match=r"none of the .* could be reached"):
        download_thumbnails(lab, "tech")
    assert rows(lab) == []
    with Emulator(catalogue) as emulator:
        assert download_thumbnails(move(lab, emulator), "tech").downloaded == len(rows(lab)) > 15


def test_a_busy_host_is_asked_again_after_the_time_that_it_gives(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        emulator.inject(faults.refusal(429, "rateLimitExceeded", retry_after=1), endpoint="image", times=3)
        start = time.monotonic()
        downloaded = download_thumbnails(lab, "tech")
        took = time.monotonic() - start
    assert (downloaded.downloaded, downloaded.postponed) == (len(video_ids(lab)), 0)
    assert took >= 1


def test_while_a_host_asks_one_thread_to_wait_no_other_thread_asks_it(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    with Emulator(catalogue) as emulator, Fetcher([emulator.endpoint[7:-1]]) as fetcher:
        retrying = retrying_fetch.RetryingFetcher(
            fetcher, sleep=lambda seconds: (waited.append(seconds), time.sleep(seconds))[1]
        )
        url = f"{emulator.endpoint}vi/{video_ids(lab)[0]}/mqdefault.jpg"
        emulator.inject(faults.refusal(503, "backendError", retry_after=1), endpoint="image")
        moments: list[float] = []
        real = emulator.respond
        monkeypatch.setattr(emulator, "respond", lambda request: (moments.append(time.monotonic()), real(request))[1])
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(4) as threads:
            first = threads.submit(retrying.get, url)
            while not any(seconds > 0.5 for seconds in waited):
                time.sleep(0.01)
            others = [threads.submit(retrying.get, url) for _ in range(3)]
            assert all(request.result().body for request in (first, *others))
    assert len(moments) == 5
    assert moments[1] - moments[0] >= 0.9


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_host_that_gives_no_time_is_asked_again_after_growing_waits(
    lab: Lab, catalogue: SyntheticCatalogue, status: int
) -> None:
    waited: list[float] = []
    with Emulator(catalogue) as emulator, Fetcher([emulator.endpoint[7:-1]]) as fetcher:
        url = f"{emulator.endpoint}vi/{video_ids(lab)[0]}/mqdefault.jpg"
        retrying = retrying_fetch.RetryingFetcher(fetcher, sleep=waited.append)
        emulator.inject(faults.refusal(status, "backendError"), endpoint="image", times=retrying_fetch.TRIES - 1)
        assert retrying.get(url).body
        assert len(waited) == retrying_fetch.TRIES - 1
        assert all(0 <= seconds <= 0.5 * 2**n for n, seconds in enumerate(waited))
        emulator.inject(faults.refusal(status, "backendError"), endpoint="image", times=retrying_fetch.TRIES)
        with pytest.raises(LabError, match=f"answered {status}"):
            retrying.get(url)


def test_a_host_that_asks_for_a_long_wait_is_not_asked_again(
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


def test_a_broken_answer_loses_only_its_own_picture(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        for fault in (faults.cut_off(), faults.hang_up(), faults.garbage()):
            emulator.inject(fault, endpoint="image")
        downloaded = download_thumbnails(lab, "tech")
        count = len(video_ids(lab))
        assert (downloaded.downloaded, downloaded.postponed, downloaded.unreadable) == (count - 3, 2, 1)
        again = download_thumbnails(lab, "tech")
    assert (again.downloaded, again.postponed) == (2, 0)


def test_a_stopped_run_keeps_every_batch_that_it_finished(
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
        downloaded = download_thumbnails(lab, "tech")
    assert downloaded.had == 10
    assert downloaded.downloaded == len(rows(lab)) - 10


def test_a_full_disk_is_named_and_stored_data_stay(
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


def test_while_the_image_store_is_away_the_download_stops_with_its_name_and_the_next_run_continues(
    lab: Lab, catalogue: SyntheticCatalogue
) -> None:
    with running_s3() as server:
        url = server.url("pictures", "images")
        chosen = lab.settings.model_copy(update={"image_store": SecretStr(url)})
        lab = dataclasses.replace(lab, settings=chosen, images=image_store(chosen))
        with Emulator(catalogue) as emulator:
            server.process.kill()
            server.process.wait()
            with pytest.raises(LabError, match=r"s3://pictures/images cannot be used .* requests in a row have failed"):
                download_thumbnails(move(lab, emulator), "tech")
        assert rows(lab) == []
    with running_s3(port=server.port) as server, Emulator(catalogue) as emulator:
        server.url("pictures", "images")
        lab = dataclasses.replace(lab, images=ImageObjects(lab.images.bucket, lab.images.cache))  # type: ignore[attr-defined]
        downloaded = download_thumbnails(move(lab, emulator), "tech").downloaded
        assert downloaded == len(rows(lab)) == len(list(lab.images.stored())) > 15


def test_a_video_that_is_deleted_during_the_download_does_not_stop_it(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        first, *others = video_ids(lab)
        real = emulator.picture

        def picture(name: str, file: str) -> bytes | None:
            if name == first:
                with lab.engine.begin() as connection:
                    connection.execute(delete(videos).where(videos.c.video_id == first))
            return real(name, file)

        monkeypatch.setattr(emulator, "picture", picture)
        download_thumbnails(lab, "tech")
    assert [row.video_id for row in rows(lab)] == others
