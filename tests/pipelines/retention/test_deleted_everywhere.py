"""Tests that a deleted video disappears from the tables and releases, and that no other data are deleted.

The video's pictures are also deleted, except pictures that other videos show too. The figures that the channel's owner
has imported are kept.
"""

from datetime import timedelta
from typing import Any

import pytest
from full_lab import EVERYWHERE, NICHE, FullLab, assert_deleted_everywhere
from sqlalchemy import delete, insert, select, text, update

from thumblab_core.database.tables import channels, metadata, thumbnail_versions, video_reach, videos
from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex
from thumblab_core.library_map.files import LIBRARY_MAP
from thumblab_core.library_map.points import POINTS, read_points
from thumblab_core.releases.release import ALL, INDEX
from thumblab_pipelines.collection.crawl_rules import OUTLIER
from thumblab_pipelines.collection.observe import observe
from thumblab_pipelines.dataset.pairs import build_pairs
from thumblab_pipelines.features.baselines import compute_baselines
from thumblab_pipelines.library.build import build_index
from thumblab_pipelines.retention.retention import check_retention, retain


@pytest.mark.parametrize("how", ["remove", "make_private"])
def test_a_removed_or_private_video_is_deleted_everywhere_within_30_days(full: FullLab, how: str) -> None:
    victim, picture = full.ids[0], full.picture(full.ids[0])
    assert set(full.rows(victim)) == EVERYWHERE
    served = full.lab.releases.serving.current_id(INDEX, NICHE)
    getattr(full.emulator, how)(victim)
    full.emulator.advance(timedelta(days=26))
    full.age_files()
    retained = full.retain_day()
    assert retained.deleted == {"removed or private": 1}
    assert retained.refreshed == len(full.ids) - 1
    assert_deleted_everywhere(full, victim, picture)
    # The new index has all videos except the deleted video.
    release = full.lab.releases.serving.current(INDEX, NICHE)
    assert release is not None
    assert release.release_id != served
    assert NicheIndex.video_ids(release) == set(full.ids) - {victim}
    assert len(NicheIndex.load(release)) == release.info["count"] == len(full.ids) - 1
    # Each new map shows all videos except the deleted video.
    for scope in (NICHE, ALL):
        served_map = full.lab.releases.serving.current(LIBRARY_MAP, scope)
        assert served_map is not None
        assert set(read_points(served_map.path / POINTS).video_id) == set(full.ids) - {victim}
    assert all(check.passed for check in check_retention(full.lab, NICHE, retained))


def test_a_closed_channel_is_deleted_with_all_its_videos(full: FullLab) -> None:
    with full.lab.engine.connect() as connection:
        channel_id = connection.scalar(select(videos.c.channel_id).where(videos.c.video_id == full.ids[0]))
        video_ids = list(connection.scalars(select(videos.c.video_id).where(videos.c.channel_id == channel_id)))
    assert 0 < len(video_ids) <= len(full.ids)
    pictures = [full.picture(video_id) for video_id in video_ids]
    full.emulator.close_channel(str(channel_id))
    full.emulator.advance(timedelta(days=26))
    full.age_files()
    retained = full.retain_day()
    assert retained.deleted == {"channel gone": len(video_ids)}
    for video_id, picture in zip(video_ids, pictures, strict=True):
        assert_deleted_everywhere(full, video_id, picture)
    with full.lab.engine.connect() as connection:
        assert connection.execute(select(channels).where(channels.c.channel_id == channel_id)).all() == []
    if len(video_ids) == len(full.ids):  # No video is left to serve.
        assert full.lab.releases.serving.current_id(INDEX, NICHE) is None


def test_the_next_run_finishes_the_work_of_a_killed_run(full: FullLab, monkeypatch: pytest.MonkeyPatch) -> None:
    from thumblab_pipelines.retention import retention

    victim, picture = full.ids[0], full.picture(full.ids[0])
    full.emulator.remove(victim)
    full.emulator.advance(timedelta(days=26))
    full.age_files()
    with monkeypatch.context() as patch:

        def die(*_: Any) -> int:
            raise KeyboardInterrupt

        patch.setattr(retention, "clean_indices", die)
        with pytest.raises(KeyboardInterrupt):
            retain(full.lab, NICHE)
    assert full.rows(victim) == {}
    assert full.lab.images.path(picture).exists()
    full.retain_day()
    assert_deleted_everywhere(full, victim, picture)


def test_a_damaged_index_is_deleted_and_the_rest_is_cleaned(full: FullLab) -> None:
    served = full.lab.releases.serving.current(INDEX, NICHE)
    assert served is not None
    (served.path / "items.json").write_text("{")
    full.emulator.remove(full.ids[0])
    full.emulator.advance(timedelta(days=26))
    retained = full.retain_day()
    assert retained.deleted == {"removed or private": 1}
    assert full.lab.releases.serving.current_id(INDEX, NICHE) is None
    assert all(check.passed for check in check_retention(full.lab, NICHE, retained))


def test_a_picture_that_another_video_shows_stays(full: FullLab) -> None:
    victim, other = full.ids[:2]
    shared = full.picture(other)
    with full.lab.engine.begin() as connection:
        both = {"sha256": shared}
        connection.execute(
            update(metadata.tables["thumbnails"]).where(text("video_id = :v")).values(both), {"v": victim}
        )
        connection.execute(update(thumbnail_versions).where(thumbnail_versions.c.video_id == victim).values(both))
    full.emulator.remove(victim)
    full.emulator.advance(timedelta(days=26))
    full.age_files()
    full.retain_day()
    assert full.lab.images.path(shared).is_file()


def test_the_owners_reach_and_imported_videos_stay(full: FullLab) -> None:
    victim = full.ids[0]
    with full.lab.engine.begin() as connection:
        owned = {"video_id": victim, "source": "studio", "day": full.emulator.now.date(), "impressions": 10}
        owned |= {"click_through_rate": 0.05, "imported_at": full.emulator.now}
        connection.execute(insert(video_reach).values(**owned))
        connection.execute(update(videos).where(videos.c.video_id == full.ids[1]).values(source="catalogue"))
    for video_id in full.ids[:2]:
        full.emulator.remove(video_id)
    full.emulator.advance(timedelta(days=200))
    retain(full.lab, NICHE)
    assert full.rows(victim) == {"video_reach": 1}
    assert set(full.rows(full.ids[1])) >= EVERYWHERE - {"crawl_videos"}


def test_the_crawls_row_of_an_outlier_stays_as_long_as_its_video(full: FullLab) -> None:
    with full.lab.engine.begin() as connection:
        rows = metadata.tables["crawl_videos"]
        connection.execute(update(rows).where(rows.c.video_id == full.ids[-1]).values(outcome=OUTLIER))
        connection.execute(update(rows).where(rows.c.video_id == full.ids[-2]).values(outcome="a Short"))
    full.emulator.advance(timedelta(days=20))
    retain(full.lab, NICHE)
    full.emulator.advance(timedelta(days=20))
    retain(full.lab, NICHE)
    assert full.rows(full.ids[-1])["crawl_videos"] == 1
    assert "crawl_videos" not in full.rows(full.ids[-2])


def test_crawled_videos_and_added_channels_stay_after_they_left_the_library(full: FullLab) -> None:
    from thumblab_core.database.nearest import Library, sample
    from thumblab_core.ranking.channel_adapters import ChannelAdapterInfo, ChannelAdapters

    crawled, added, neither = full.ids[0], full.ids[1], full.ids[2]
    rows = metadata.tables["crawl_videos"]
    with full.lab.engine.begin() as connection:
        connection.execute(delete(rows).where(rows.c.video_id.in_([added, neither])))
        connection.execute(insert(channels).values(channel_id="UC_added", title="Added"))
        connection.execute(update(videos).where(videos.c.video_id == added).values(channel_id="UC_added"))
    ChannelAdapters(full.lab.releases).publish(
        ChannelAdapterInfo("UC_added", "Added", "a model", 1, None), None, 3, [added], {}
    )
    chosen = full.with_settings(library_days=30, training_days=60)
    before = build_index(chosen, NICHE).release.info["count"]
    assert before == len(full.ids)
    for _ in range(2):  # Retention runs on day 20 and on day 40. YouTube still has all these videos.
        full.emulator.advance(timedelta(days=20))
        with full.lab.engine.begin() as connection:
            connection.execute(update(channels).values(refreshed_at=full.emulator.now))
        retain(chosen, NICHE)
        observe(chosen, NICHE)
    assert full.rows(neither) == {}
    assert {"videos", "crawl_videos"} <= set(full.rows(crawled))
    assert "videos" in full.rows(added)
    compute_baselines(chosen, NICHE)
    with full.lab.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM channel_baselines")).scalar_one() == 0
    with pytest.raises(LabError, match="is empty"):
        build_index(chosen, NICHE)
    encoder = str(build_pairs(chosen).release.info["image_encoder"])
    library = Library(encoder, (NICHE,), chosen.settings.library_days)
    with full.lab.engine.connect() as connection:
        assert sample(connection, library, 10)[0] == 0
    # 61 days have passed, which is more than the 60 days of the setting `training_days`. The crawled videos are
    # therefore deleted too.
    full.emulator.advance(timedelta(days=21))
    retain(chosen, NICHE)
    assert full.rows(crawled) == {}
