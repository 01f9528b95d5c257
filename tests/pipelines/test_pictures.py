"""Promises of downloading thumbnails."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from demo.emulator import Emulator
from demo.synthetic import SyntheticCatalogue
from thumblab_core.database.tables import thumbnails, videos
from thumblab_core.errors import LabError
from thumblab_core.niches import NICHES
from thumblab_core.settings import Settings
from thumblab_pipelines.steps.collect import collect
from thumblab_pipelines.steps.lab import Lab
from thumblab_pipelines.steps.pictures import download_thumbnails, judge_thumbnails

KEY = "k"


@pytest.fixture
def lab(open_lab: Callable[..., Lab], catalogue: SyntheticCatalogue) -> Lab:
    """Collected, without pictures; the emulator that it was collected from is gone."""
    opened = open_lab()
    with Emulator(catalogue) as emulator:
        collect(at(opened, emulator), "tech")
    return opened


def at(lab: Lab, emulator: Emulator) -> Lab:
    chosen = {"youtube_endpoint": emulator.endpoint, "youtube_api_key": KEY}
    return dataclasses.replace(lab, settings=Settings(**(lab.settings.model_dump(exclude_unset=True) | chosen)))


def move(lab: Lab, emulator: Emulator) -> Lab:
    """The lab, with the pictures of its videos where this emulator is."""
    with lab.engine.begin() as connection:
        for row in connection.execute(select(videos.c.video_id)).all():
            url = f"{emulator.endpoint}vi/{row.video_id}/mqdefault.jpg"
            connection.execute(update(videos).where(videos.c.video_id == row.video_id).values(thumbnail_url=url))
    return at(lab, emulator)


def rows(lab: Lab) -> list[Any]:
    with lab.engine.connect() as connection:
        return list(connection.execute(select(thumbnails).order_by(thumbnails.c.video_id)))


def test_every_picture_is_stored_once_under_the_hash_of_its_bytes(small: Any) -> None:
    assert sum(found.downloaded for found in small.downloaded.values()) == 150
    for row in rows(small.lab):
        assert row.problem is None
        assert (row.width, row.height) == (640, 360)
        small.lab.images.get(row.sha256)
    assert all(verdict.passed for niche in NICHES for verdict in judge_thumbnails(small.lab, niche))


def test_downloading_again_asks_for_nothing(small: Any) -> None:
    before = small.emulator.counts
    again = [download_thumbnails(small.lab, niche) for niche in NICHES]
    assert small.emulator.counts == before
    assert [found.downloaded for found in again] == [0] * 7
    assert sum(found.had for found in again) == 150


def test_a_picture_that_is_gone_is_recorded_with_the_reason_and_not_asked_for_again(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = sorted(v.video_id for v in catalogue.videos.values() if v.niche == "tech")[:3]
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        real = emulator.picture
        monkeypatch.setattr(emulator, "picture", lambda name, file: None if name in gone else real(name, file))
        found = download_thumbnails(lab, "tech")
        monkeypatch.undo()
        before = emulator.counts
        again = download_thumbnails(lab, "tech")
        assert emulator.counts == before
    assert (found.unreadable, found.postponed) == (3, 0)
    assert [row.video_id for row in rows(lab) if row.sha256 is None] == gone
    assert all("answered 404" in row.problem for row in rows(lab) if row.sha256 is None)
    assert (again.downloaded, again.unreadable, again.postponed) == (0, 0, 0)


def test_bytes_that_are_no_picture_are_recorded_with_the_reason(
    lab: Lab, catalogue: SyntheticCatalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        monkeypatch.setattr(emulator, "picture", lambda *_: b"<html>a captive portal</html>")
        found = download_thumbnails(lab, "tech")
    assert found.downloaded == 0
    assert {row.problem for row in rows(lab)} == {"not a JPEG, PNG or WebP picture"}
    assert not next(v for v in judge_thumbnails(lab, "tech") if v.name == "mostly_readable").passed


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
            connection.execute(update(videos).where(videos.c.video_id == first).values(thumbnail_url=elsewhere))
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
    assert not next(v for v in judge_thumbnails(lab, "tech") if v.name == "stored").passed
