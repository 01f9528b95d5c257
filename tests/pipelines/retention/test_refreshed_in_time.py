"""Tests that videos are refreshed before their facts are 30 days old. Videos with older facts are deleted."""

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from full_lab import NICHE, SECRET, FullLab
from sqlalchemy import select, update

from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import videos
from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release import INDEX
from thumblab_pipelines.collection.crawl import crawl
from thumblab_pipelines.collection.download import download_thumbnails
from thumblab_pipelines.collection.observe import observe
from thumblab_pipelines.collection.refresh import collect
from thumblab_pipelines.dataset.pairs import build_pairs
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.retention.retention import retain


def test_videos_that_are_not_due_cost_nothing_and_stay_as_they_are(full: FullLab) -> None:
    retained = retain(full.lab, NICHE)
    assert (retained.refreshed, retained.deleted, retained.releases_deleted) == (0, {}, 0)
    assert retained.quota.spent == {"units": 0, "searches": 0, "stats": 0}
    assert retained.videos == len(full.ids)


def test_a_refresh_stores_the_new_title_and_a_new_count(full: FullLab) -> None:
    full.emulator.rename(full.ids[0], "A better title")
    full.emulator.advance(timedelta(days=26))
    retain(full.lab, NICHE)
    with full.lab.engine.connect() as connection:
        assert connection.scalar(select(videos.c.title).where(videos.c.video_id == full.ids[0])) == "A better title"
    assert full.rows(full.ids[0])["video_stats"] == 2


def test_without_quota_videos_are_deleted_when_their_30_days_are_over_and_not_before(full: FullLab) -> None:
    strict = full.with_settings(quota_units=0, library_days=365)
    full.emulator.advance(timedelta(days=29))
    retained = retain(strict, NICHE)
    assert retained.stopped is not None
    assert (retained.deleted, retained.videos) == ({}, len(full.ids))
    full.emulator.advance(timedelta(days=2))
    full.age_files()
    retained = full.retain_day(strict)
    assert retained.deleted == {"not refreshed in 30 days": len(full.ids)}
    assert retained.videos == 0
    assert list(full.lab.images.root.glob("??/*")) == []
    assert full.lab.releases.serving.current_id(INDEX, NICHE) is None


def test_a_run_that_used_up_the_quota_continues_the_next_day(full: FullLab) -> None:
    full.emulator.advance(timedelta(days=26))
    # One unit of quota is left. The call for the channels costs this unit, so no unit is left for the videos.
    full.emulator.quota.limits["units"] = full.emulator.counts.spent_today["units"] + 1
    first = retain(full.lab, NICHE)
    assert first.stopped is not None
    assert first.deleted == {}
    full.emulator.advance(timedelta(days=1))
    full.emulator.quota.limits["units"] = None
    second = retain(full.lab, NICHE)
    assert second.stopped is None
    assert second.refreshed == len(full.ids)


@pytest.mark.parametrize("history", [None, 5])
def test_a_video_is_deleted_after_the_librarys_days_also_if_its_history_was_shortened(
    full: FullLab, history: float | None
) -> None:
    refreshed = full.with_settings(library_days=20, training_days=20, history_days=history)
    for _ in range(2):
        full.emulator.advance(timedelta(days=8))
        observe(refreshed, NICHE)
        assert retain(refreshed, NICHE).deleted == {}
    full.emulator.advance(timedelta(days=5))
    retained = retain(refreshed, NICHE)
    assert retained.deleted == {"at the end of their time in the library": len(full.ids)}


def test_a_video_that_left_the_library_is_not_collected_again(full: FullLab) -> None:
    days = {"library_days": 20, "training_days": 20, "search_days": 1}
    refreshed = full.with_settings(**days, channels_per_refresh=10, uploads_per_channel=500)
    full.emulator.advance(timedelta(days=21))
    assert retain(refreshed, NICHE).deleted == {"at the end of their time in the library": len(full.ids)}
    collect(refreshed, NICHE)
    with full.lab.engine.connect() as connection:
        published = connection.scalars(select(videos.c.published_at)).all()
    assert all(full.emulator.now - moment <= timedelta(days=20) for moment in published)


@pytest.mark.parametrize("how", ["unreachable", "key refused", "no key"])
def test_videos_older_than_30_days_are_deleted_also_when_youtube_cannot_be_asked(full: FullLab, how: str) -> None:
    # If YouTube answers, the lab uses the time in the answer, which comes from the emulator's clock. If there is no
    # answer, the lab uses the clock of its machine. By both clocks, one video is new and all other videos are over 30
    # days old.
    clocks = (full.emulator.now, datetime.now(UTC))
    long_ago = min(clocks) - timedelta(days=31)
    with full.lab.engine.begin() as connection:
        connection.execute(update(videos).values(refreshed_at=long_ago, collected_at=long_ago))
        connection.execute(update(videos).where(videos.c.video_id == full.ids[0]).values(refreshed_at=max(clocks)))
    changes: dict[str, dict[str, str | None]] = {
        "unreachable": {"youtube_endpoint": "http://127.0.0.1:9/"},
        "key refused": {"youtube_api_key": "wrong"},
        "no key": {"youtube_api_key": None},
    }
    with pytest.raises(LabError, match="no YouTube API key is set" if how == "no key" else None):
        retain(full.with_settings(**changes[how]), NICHE)
    assert "videos" in full.rows(full.ids[0])
    assert full.rows(full.ids[1]) == {}
    release = full.lab.releases.serving.current(INDEX, NICHE)
    assert release is None or NicheIndex.video_ids(release) == {full.ids[0]}


def test_with_history_days_old_counts_and_replaced_thumbnails_are_deleted(
    full: FullLab, drawn: Callable[..., bytes]
) -> None:
    full.emulator.change_thumbnail(full.ids[-1], drawn(5, (1280, 720)))
    full.emulator.advance(timedelta(days=2))
    collect(full.lab, NICHE)
    download_thumbnails(full.lab, NICHE)
    old = full.picture(full.ids[-1])
    assert full.rows(full.ids[-1])["thumbnail_versions"] == 2
    full.emulator.advance(timedelta(days=11))
    collect(full.lab, NICHE)
    download_thumbnails(full.lab, NICHE)
    full.age_files()
    embed(full.lab, NICHE)
    assert full.rows(full.ids[-1])["earlier_embeddings"] == 1
    full.retain_day(full.with_settings(history_days=30))
    assert full.rows(full.ids[-1])["earlier_embeddings"] == 1
    full.retain_day(full.with_settings(history_days=10))
    rows = full.rows(full.ids[-1])
    assert "earlier_embeddings" not in rows, "the vector of the replaced thumbnail"
    assert (rows["thumbnail_versions"], rows["video_stats"]) == (1, 1)
    assert full.picture(full.ids[-1]) != old
    assert not full.lab.images.path(old).exists()


def test_with_train_only_on_opted_in_pairs_hold_only_videos_that_opted_in(
    open_lab: Callable[..., Lab], catalogue: SyntheticCatalogue
) -> None:
    from catalogues import Edited

    willing = sorted(v.video_id for v in catalogue.videos.values() if v.niche == NICHE)[::2]
    asked = Edited(catalogue, lambda v: dataclasses.replace(v, trainable=("all",)) if v.video_id in willing else v)
    with Emulator(asked, key=SECRET) as emulator:
        lab = open_lab(
            youtube_endpoint=emulator.endpoint, youtube_api_key=SECRET, train_only_on_opted_in=True, crawl_channels=1
        )
        crawl(lab, NICHE)
        download_thumbnails(lab, NICHE)
        embed(lab, NICHE)
        before = build_pairs(lab).release.info
        retain(lab, NICHE)
        after = build_pairs(lab).release.info
        again = retain(lab, NICHE)
    assert before["videos"] == 0
    assert after["excluded"]["not opted in to training"] > 0
    assert 0 < after["videos"] <= len(willing)
    # The first `retain` has already read from YouTube which videos are opted in to training.
    assert again.quota.spent["units"] == 0
