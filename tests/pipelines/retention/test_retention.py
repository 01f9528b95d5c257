"""Promises of what the lab keeps and forgets, kept against the emulator: in every table, image and release."""

import dataclasses
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import delete, func, insert, select, text, update

from demo import faults
from demo.catalogues.synthetic import SyntheticCatalogue, synthetic_catalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import channels, metadata, thumbnail_versions, video_reach, video_stats, videos
from thumblab_core.errors import LabError
from thumblab_core.index import NicheIndex
from thumblab_core.releases.release_store import ALL, INDEX, PAIRS
from thumblab_core.settings import Settings
from thumblab_pipelines.collection.crawl import crawl
from thumblab_pipelines.collection.crawl_rules import OUTLIER
from thumblab_pipelines.collection.download import download_thumbnails
from thumblab_pipelines.collection.observe import check_observation, observe
from thumblab_pipelines.collection.refresh import collect
from thumblab_pipelines.dataset.pairs import build_pairs
from thumblab_pipelines.features.baselines import compute_baselines
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.features.sub_scores import measure_features
from thumblab_pipelines.features.views_at_age import compute_views_at_age
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.library.build import build_index, promote_index
from thumblab_pipelines.retention.retention import check_retention, retain

SECRET = "AIzaSecretOfTheTests"
NICHE = "tech"


@dataclass(frozen=True)
class Kept:
    """A lab that holds the niche in every table and kind of release, and the YouTube it came from."""

    lab: Lab
    emulator: Emulator
    ids: list[str]

    def with_settings(self, **changes: Any) -> Lab:
        settings = Settings(**(self.lab.settings.model_dump(exclude_unset=True) | changes))
        return dataclasses.replace(self.lab, settings=settings)

    def rows(self, video_id: str) -> dict[str, int]:
        """In how many rows of each table the video stands."""
        with self.lab.engine.connect() as connection:
            return {
                table.name: count
                for table in metadata.sorted_tables
                if "video_id" in table.c
                and (
                    count := connection.execute(
                        select(func.count()).select_from(table).where(table.c.video_id == video_id)
                    ).scalar_one()
                )
            }

    def picture(self, video_id: str) -> str:
        with self.lab.engine.connect() as connection:
            query = select(thumbnail_versions.c.sha256).where(thumbnail_versions.c.video_id == video_id)
            return connection.execute(query).scalars().first() or ""

    def age_files(self) -> None:
        """Make the pictures two hours old: what is younger may belong to a download that is under way."""
        long_ago = time.time() - 7_200
        for path in self.lab.images.root.glob("??/*"):
            os.utime(path, (long_ago, long_ago))


@pytest.fixture(scope="module")
def catalogue() -> SyntheticCatalogue:
    return synthetic_catalogue(videos=280)


@pytest.fixture(scope="module")
def prepared(open_lab: Callable[..., Lab], catalogue: SyntheticCatalogue) -> tuple[Lab, str]:
    """A lab that holds the niche everywhere, from which each test gets a copy, and the endpoint that it was made from."""
    with Emulator(catalogue, key=SECRET) as emulator:
        lab = open_lab(youtube_endpoint=emulator.endpoint, youtube_api_key=SECRET, youtube_first_wait_s=0.01)
        collect(lab, NICHE)
        crawl(lab, NICHE)
        download_thumbnails(lab, NICHE)
        embed(lab, NICHE)
        measure_features(lab, NICHE)
        compute_baselines(lab, NICHE)
        build_index(lab, NICHE)
        promote_index(lab, NICHE)
        build_pairs(lab)
    return lab, emulator.endpoint


@pytest.fixture
def kept(
    prepared: tuple[Lab, str],
    open_lab: Callable[..., Lab],
    copied_database: Callable[[str], str],
    catalogue: SyntheticCatalogue,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Kept]:
    monkeypatch.setattr("thumblab_pipelines.retention.retention._PAIRS_REST", timedelta(0))
    original, endpoint = prepared
    original.engine.dispose()  # a database is copied while nobody is connected to it
    assert original.settings.database_url is not None
    database = copied_database(original.settings.database_url.get_secret_value())
    folder = shutil.copytree(original.settings.data_dir, tmp_path / "lab")
    with Emulator(catalogue, key=SECRET) as emulator:
        own = {"data_dir": folder, "database_url": SecretStr(database), "youtube_endpoint": emulator.endpoint}
        own |= {"forget_share": 1.0}  # of two channels and forty videos; the guard has tests of its own below
        lab = open_lab(beside=original, **own)
        with lab.engine.begin() as connection:
            moved = {"old": endpoint, "new": emulator.endpoint}
            connection.execute(text("UPDATE thumbnails SET url = replace(url, :old, :new)"), moved)
            offered = "ARRAY(SELECT replace(url, :old, :new) FROM unnest(thumbnail_urls) AS url)"
            connection.execute(text(f"UPDATE videos SET thumbnail_urls = {offered}"), moved)
            ids = list(connection.scalars(select(videos.c.video_id).order_by(videos.c.published_at)))
        yield Kept(lab, emulator, ids)


EVERYWHERE = {
    "videos",
    "video_stats",
    "thumbnails",
    "thumbnail_versions",
    "embeddings",
    "visual_features",
    "crawl_videos",
}


def gone_without_trace(kept: Kept, video_id: str, picture: str) -> None:
    assert kept.rows(video_id) == {}
    assert not kept.lab.images.path(picture).exists()
    for release in kept.lab.releases.all(INDEX, NICHE):
        assert video_id not in NicheIndex.video_ids(release)
    for release in kept.lab.releases.all(PAIRS, ALL):
        assert video_id.encode() not in (release.path / "videos.parquet").read_bytes()


@pytest.mark.parametrize("how", ["remove", "make_private"])
def test_a_removed_or_private_video_is_gone_from_every_table_image_and_release_within_30_days(
    kept: Kept, how: str
) -> None:
    victim, picture = kept.ids[0], kept.picture(kept.ids[0])
    assert set(kept.rows(victim)) == EVERYWHERE
    served = kept.lab.releases.current_id(INDEX, NICHE)
    getattr(kept.emulator, how)(victim)
    kept.emulator.advance(timedelta(days=26))
    kept.age_files()
    found = retain(kept.lab, NICHE)
    assert found.forgotten == {"removed or private": 1}
    assert found.refreshed == len(kept.ids) - 1
    gone_without_trace(kept, victim, picture)
    # The service reads an index that lacks it and nothing else.
    release = kept.lab.releases.current(INDEX, NICHE)
    assert release is not None
    assert release.release_id != served
    assert NicheIndex.video_ids(release) == set(kept.ids) - {victim}
    assert len(NicheIndex.load(release)) == release.info["count"] == len(kept.ids) - 1
    assert all(verdict.passed for verdict in check_retention(kept.lab, NICHE, found))


def test_a_channel_gone_private_takes_all_its_videos_with_it(kept: Kept) -> None:
    with kept.lab.engine.connect() as connection:
        channel_id = connection.scalar(select(videos.c.channel_id).where(videos.c.video_id == kept.ids[0]))
        theirs = list(connection.scalars(select(videos.c.video_id).where(videos.c.channel_id == channel_id)))
    assert 0 < len(theirs) <= len(kept.ids)
    pictures = [kept.picture(video_id) for video_id in theirs]
    kept.emulator.close_channel(str(channel_id))
    kept.emulator.advance(timedelta(days=26))
    kept.age_files()
    found = retain(kept.lab, NICHE)
    assert found.forgotten == {"channel gone": len(theirs)}
    for video_id, picture in zip(theirs, pictures, strict=True):
        gone_without_trace(kept, video_id, picture)
    with kept.lab.engine.connect() as connection:
        assert connection.execute(select(channels).where(channels.c.channel_id == channel_id)).all() == []
    if len(theirs) == len(kept.ids):  # nothing is left to serve, and nothing is served
        assert kept.lab.releases.current_id(INDEX, NICHE) is None


def test_what_is_not_due_costs_nothing_and_is_not_touched(kept: Kept) -> None:
    found = retain(kept.lab, NICHE)
    assert (found.refreshed, found.forgotten, found.images_deleted, found.releases_deleted) == (0, {}, 0, 0)
    assert found.quota.spent == {"units": 0, "searches": 0, "stats": 0}
    assert found.videos == len(kept.ids)


def test_a_refresh_brings_a_new_title_and_a_new_count(kept: Kept) -> None:
    kept.emulator.rename(kept.ids[0], "A better title")
    kept.emulator.advance(timedelta(days=26))
    retain(kept.lab, NICHE)
    with kept.lab.engine.connect() as connection:
        assert connection.scalar(select(videos.c.title).where(videos.c.video_id == kept.ids[0])) == "A better title"
    assert kept.rows(kept.ids[0])["video_stats"] == 2


def test_without_quota_nothing_is_deleted_before_its_30_days_are_over_and_everything_after(kept: Kept) -> None:
    strict = kept.with_settings(quota_units=0, library_days=365)
    kept.emulator.advance(timedelta(days=29))
    found = retain(strict, NICHE)
    assert found.stopped is not None
    assert (found.forgotten, found.videos) == ({}, len(kept.ids))
    kept.emulator.advance(timedelta(days=2))
    kept.age_files()
    found = retain(strict, NICHE)
    assert found.forgotten == {"not refreshed in 30 days": len(kept.ids)}
    assert found.videos == 0
    assert list(kept.lab.images.root.glob("??/*")) == []
    assert kept.lab.releases.current_id(INDEX, NICHE) is None


def test_a_quota_that_ends_on_the_way_is_gone_on_with_the_next_day(kept: Kept) -> None:
    kept.emulator.advance(timedelta(days=26))
    kept.emulator.quota.limits["units"] = kept.emulator.counts.spent_today["units"] + 1  # the channels, no video
    first = retain(kept.lab, NICHE)
    assert first.stopped is not None
    assert first.forgotten == {}
    kept.emulator.advance(timedelta(days=1))
    kept.emulator.quota.limits["units"] = None
    second = retain(kept.lab, NICHE)
    assert second.stopped is None
    assert second.refreshed == len(kept.ids)


@pytest.mark.parametrize("history", [None, 5])
def test_a_video_leaves_after_the_librarys_days_however_short_its_history_is_kept(
    kept: Kept, history: float | None
) -> None:
    refreshed = kept.with_settings(library_days=20, training_days=20, history_days=history)
    for _ in range(2):
        kept.emulator.advance(timedelta(days=8))
        observe(refreshed, NICHE)
        assert retain(refreshed, NICHE).forgotten == {}
    kept.emulator.advance(timedelta(days=5))
    found = retain(refreshed, NICHE)
    assert found.forgotten == {"out of the library's days": len(kept.ids)}


def test_what_has_left_the_library_is_not_collected_again(kept: Kept) -> None:
    days = {"library_days": 20, "training_days": 20, "search_days": 1}
    refreshed = kept.with_settings(**days, channels_per_refresh=10, uploads_per_channel=500)
    kept.emulator.advance(timedelta(days=21))
    assert retain(refreshed, NICHE).forgotten == {"out of the library's days": len(kept.ids)}
    collect(refreshed, NICHE)
    with kept.lab.engine.connect() as connection:
        published = connection.scalars(select(videos.c.published_at)).all()
    assert all(kept.emulator.now - moment <= timedelta(days=20) for moment in published)


def test_an_answer_with_nothing_in_it_is_not_believed_at_once(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    from thumblab_pipelines.youtube.client import YouTube

    look, calls = YouTube.videos, []

    def empty_once(*given: Any) -> Any:
        calls.append(1)
        return [] if len(calls) == 1 else look(*given)

    monkeypatch.setattr(YouTube, "videos", empty_once)
    kept.emulator.advance(timedelta(days=26))
    found = retain(kept.lab, NICHE)
    assert (found.forgotten, found.refreshed) == ({}, 0)
    assert retain(kept.lab, NICHE).refreshed == len(kept.ids)  # they are due until they were told


def test_a_video_whose_facts_cannot_be_read_is_not_taken_for_gone(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    from thumblab_pipelines.youtube import answers

    odd, read = kept.ids[0], answers.video

    def unreadable(item: dict[str, Any], *rest: Any) -> Any:
        if item["id"] == odd:
            raise ValueError("publishedAt")
        return read(item, *rest)

    monkeypatch.setattr(answers, "video", unreadable)
    kept.emulator.advance(timedelta(days=26))
    found = retain(kept.lab, NICHE)
    assert (found.forgotten, found.refreshed) == ({}, len(kept.ids) - 1)
    assert "videos" in kept.rows(odd)


def test_that_many_channels_vanish_at_once_is_not_believed(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    from thumblab_pipelines.retention import retention
    from thumblab_pipelines.youtube.errors import YouTubeError

    monkeypatch.setattr(retention, "_TOO_MANY", 1)
    with kept.lab.engine.connect() as connection:
        for channel_id in connection.scalars(select(channels.c.channel_id)):
            kept.emulator.close_channel(channel_id)
    kept.emulator.advance(timedelta(days=26))
    with pytest.raises(YouTubeError, match="not believed"):
        retain(kept.lab, NICHE)
    assert "videos" in kept.rows(kept.ids[0])


@pytest.mark.parametrize("how", ["unreachable", "key refused"])
def test_what_is_30_days_old_goes_also_when_youtube_cannot_be_asked(kept: Kept, how: str) -> None:
    # Who cannot be reached does not tell the time, so this machine's clock counts then; who refuses the key still does.
    clocks = (kept.emulator.now, datetime.now(UTC))
    long_ago = min(clocks) - timedelta(days=31)
    with kept.lab.engine.begin() as connection:
        connection.execute(update(videos).values(refreshed_at=long_ago, collected_at=long_ago))
        connection.execute(update(videos).where(videos.c.video_id == kept.ids[0]).values(refreshed_at=max(clocks)))
    changes = {"youtube_endpoint": "http://127.0.0.1:9/"} if how == "unreachable" else {"youtube_api_key": "wrong"}
    with pytest.raises(LabError):
        retain(kept.with_settings(**changes), NICHE)
    assert "videos" in kept.rows(kept.ids[0])
    assert kept.rows(kept.ids[1]) == {}
    release = kept.lab.releases.current(INDEX, NICHE)
    assert release is None or NicheIndex.video_ids(release) == {kept.ids[0]}


def test_an_outlier_is_remembered_as_long_as_its_video_is_kept(kept: Kept) -> None:
    with kept.lab.engine.begin() as connection:
        rows = metadata.tables["crawl_videos"]
        connection.execute(update(rows).where(rows.c.video_id == kept.ids[-1]).values(outcome=OUTLIER))
        connection.execute(update(rows).where(rows.c.video_id == kept.ids[-2]).values(outcome="a Short"))
    kept.emulator.advance(timedelta(days=20))
    retain(kept.lab, NICHE)
    kept.emulator.advance(timedelta(days=20))
    retain(kept.lab, NICHE)
    assert kept.rows(kept.ids[-1])["crawl_videos"] == 1
    assert "crawl_videos" not in kept.rows(kept.ids[-2])


def test_a_run_that_died_after_forgetting_is_made_up_for_by_the_next(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumblab_pipelines.retention import retention

    victim, picture = kept.ids[0], kept.picture(kept.ids[0])
    kept.emulator.remove(victim)
    kept.emulator.advance(timedelta(days=26))
    kept.age_files()
    with monkeypatch.context() as patch:

        def die(*_: Any) -> int:
            raise KeyboardInterrupt

        patch.setattr(retention, "clean_indices", die)
        with pytest.raises(KeyboardInterrupt):
            retain(kept.lab, NICHE)
    assert kept.rows(victim) == {}
    assert kept.lab.images.path(picture).exists()
    retain(kept.lab, NICHE)
    gone_without_trace(kept, victim, picture)


def test_a_damaged_index_does_not_keep_the_rest_from_being_forgotten(kept: Kept) -> None:
    served = kept.lab.releases.current(INDEX, NICHE)
    assert served is not None
    (served.path / "items.json").write_text("{")
    kept.emulator.remove(kept.ids[0])
    kept.emulator.advance(timedelta(days=26))
    found = retain(kept.lab, NICHE)
    assert found.forgotten == {"removed or private": 1}
    assert kept.lab.releases.current_id(INDEX, NICHE) is None
    assert all(verdict.passed for verdict in check_retention(kept.lab, NICHE, found))


def test_a_picture_that_another_video_shows_stays(kept: Kept) -> None:
    victim, other = kept.ids[:2]
    shared = kept.picture(other)
    with kept.lab.engine.begin() as connection:
        both = {"sha256": shared}
        connection.execute(
            update(metadata.tables["thumbnails"]).where(text("video_id = :v")).values(both), {"v": victim}
        )
        connection.execute(update(thumbnail_versions).where(thumbnail_versions.c.video_id == victim).values(both))
    kept.emulator.remove(victim)
    kept.emulator.advance(timedelta(days=26))
    kept.age_files()
    retain(kept.lab, NICHE)
    assert kept.lab.images.path(shared).is_file()


def test_the_owners_own_figures_and_the_owners_own_catalogue_stay(kept: Kept) -> None:
    victim = kept.ids[0]
    with kept.lab.engine.begin() as connection:
        owned = {"video_id": victim, "source": "studio", "day": kept.emulator.now.date(), "impressions": 10}
        owned |= {"click_through_rate": 0.05, "imported_at": kept.emulator.now}
        connection.execute(insert(video_reach).values(**owned))
        connection.execute(update(videos).where(videos.c.video_id == kept.ids[1]).values(source="catalogue"))
    for video_id in kept.ids[:2]:
        kept.emulator.remove(video_id)
    kept.emulator.advance(timedelta(days=200))
    retain(kept.lab, NICHE)
    assert kept.rows(victim) == {"video_reach": 1}
    assert set(kept.rows(kept.ids[1])) >= EVERYWHERE - {"crawl_videos"}


def test_the_stricter_choice_keeps_no_old_counts_and_no_replaced_thumbnails(
    kept: Kept, drawn: Callable[..., bytes]
) -> None:
    kept.emulator.change_thumbnail(kept.ids[-1], drawn(5, (1280, 720)))
    kept.emulator.advance(timedelta(days=2))
    collect(kept.lab, NICHE)
    download_thumbnails(kept.lab, NICHE)
    old = kept.picture(kept.ids[-1])
    assert kept.rows(kept.ids[-1])["thumbnail_versions"] == 2
    kept.emulator.advance(timedelta(days=11))
    collect(kept.lab, NICHE)
    download_thumbnails(kept.lab, NICHE)
    kept.age_files()
    retain(kept.with_settings(history_days=10), NICHE)
    rows = kept.rows(kept.ids[-1])
    assert (rows["thumbnail_versions"], rows["video_stats"]) == (1, 1)
    assert kept.picture(kept.ids[-1]) != old
    assert not kept.lab.images.path(old).exists()


def test_the_stricter_choice_learns_only_from_who_opted_in(
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
    assert again.quota.spent["units"] == 0  # each is asked for once


def test_an_observation_is_made_of_what_is_due_and_of_nothing_else(kept: Kept) -> None:
    assert observe(kept.lab, NICHE).due == 0
    kept.emulator.advance(timedelta(hours=6))
    young = observe(kept.lab, NICHE)
    kept.emulator.advance(timedelta(hours=18))
    day = observe(kept.lab, NICHE)
    kept.emulator.advance(timedelta(days=7))
    week = observe(kept.lab, NICHE)
    ages = {v.video_id: kept.emulator.now - v.published_at for v in kept.emulator._world._source.videos.values()}
    assert young.due < day.due < week.due
    assert week.due == sum(ages[video_id] < timedelta(days=91) for video_id in kept.ids)
    assert week.observed == week.due
    assert week.quota.spent["stats"] == -(-week.due // 50)
    assert week.quota.spent["units"] == 0
    with kept.lab.engine.connect() as connection:
        shrunk = connection.execute(
            text("""SELECT count(*) FROM video_stats a JOIN video_stats b USING (video_id)
                    WHERE a.observed_at < b.observed_at AND a.view_count > b.view_count""")
        ).scalar_one()
        eras = set(connection.scalars(select(video_stats.c.era).distinct()))
    assert shrunk == 0
    assert eras == {"playback_start"}


def test_views_at_a_fixed_age_come_out_of_a_history(kept: Kept, catalogue: SyntheticCatalogue) -> None:
    for _ in range(8):
        kept.emulator.advance(timedelta(days=1))
        observe(kept.lab, NICHE)
    known = compute_views_at_age(kept.lab, NICHE).known
    assert known[168] > 0


def test_a_video_that_is_missing_is_confirmed_before_it_is_forgotten(kept: Kept) -> None:
    gone, missed = kept.ids[-1], kept.ids[-2]
    kept.emulator.remove(gone)
    kept.emulator.advance(timedelta(days=7))
    found = observe(kept.lab, NICHE)
    assert found.gone == 1
    assert "videos" not in kept.rows(gone)
    assert "videos" in kept.rows(missed)
    assert all(verdict.passed for verdict in check_observation(found))


def test_a_premiere_that_was_held_is_a_video_and_one_that_was_put_off_stops_nobody(
    open_lab: Callable[..., Lab], catalogue: SyntheticCatalogue
) -> None:
    from catalogues import Edited

    from thumblab_pipelines.collection.refresh import check_collection

    mine = [v.video_id for v in catalogue.videos.values() if v.niche == NICHE][:2]

    def announced(video: Any) -> Any:
        if video.video_id not in mine:
            return video
        return dataclasses.replace(video, broadcast="upcoming", published_at=catalogue.observed_at + timedelta(days=3))

    with Emulator(Edited(catalogue, announced), key=SECRET) as emulator:
        lab = open_lab(youtube_endpoint=emulator.endpoint, youtube_api_key=SECRET, crawl_channels=1)
        collect(lab, NICHE)
    assert _formats(lab, mine) == {"upcoming"}
    week = catalogue.observed_at + timedelta(days=7)

    def held(video: Any) -> Any:
        moment = week - timedelta(hours=30)
        return dataclasses.replace(video, published_at=moment) if video.video_id in mine else video

    with Emulator(Edited(catalogue, held, week), key=SECRET) as emulator:
        later = dataclasses.replace(
            lab, settings=lab.settings.model_copy(update={"youtube_endpoint": emulator.endpoint})
        )
        observe(later, NICHE)
    assert _formats(lab, mine) == {"video"}
    assert all(verdict.passed for verdict in check_collection(lab, NICHE)), check_collection(lab, NICHE)


def _formats(lab: Lab, video_ids: list[str]) -> set[str]:
    with lab.engine.connect() as connection:
        return set(connection.scalars(select(videos.c.format).where(videos.c.video_id.in_(video_ids))))


def test_an_observation_without_quota_says_until_when_and_goes_on_after_it(kept: Kept) -> None:
    kept.emulator.advance(timedelta(days=7))
    kept.emulator.inject(faults.refusal(403, "quotaExceeded"), endpoint="videos:batchGetStats")
    stopped = observe(kept.lab, NICHE)
    assert stopped.stopped is not None
    assert "08:00 UTC" in stopped.stopped
    kept.emulator.advance(timedelta(days=1))
    after = observe(kept.lab, NICHE)
    assert after.stopped is None
    assert after.observed == after.due > 0


def test_a_clock_that_is_ahead_empties_no_niche_while_youtube_does_not_answer(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    from thumblab_pipelines.retention import retention

    away = kept.with_settings(youtube_endpoint="http://127.0.0.1:9/")
    ahead = max(kept.emulator.now, datetime.now(UTC)) + timedelta(days=31)

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return ahead

    monkeypatch.setattr(retention, "datetime", Clock)
    with pytest.raises(LabError, match=r"40 not refreshed in 30 days by this machine's clock alone.*confirmed: true"):
        retain(away, NICHE)
    assert set(kept.rows(kept.ids[0])) == EVERYWHERE
    assert len(list(kept.lab.images.root.glob("??/*"))) >= 40
    # A person who says that the clock is right is believed.
    with pytest.raises(LabError, match=r"127\.0\.0\.1:9"):
        retain(away, NICHE, confirmed=True)
    assert kept.rows(kept.ids[0]) == {}


def test_of_too_many_whose_days_are_over_the_oldest_are_forgotten_up_to_the_share(kept: Kept) -> None:
    careful = kept.with_settings(forget_share=0.2, training_days=20)
    with kept.lab.engine.begin() as connection:
        connection.execute(update(videos).values(collected_at=kept.emulator.now + timedelta(days=20)))
        for days, video_id in enumerate(kept.ids[:9]):
            mine = update(videos).where(videos.c.video_id == video_id)
            connection.execute(mine.values(collected_at=kept.emulator.now - timedelta(days=days)))
    kept.emulator.advance(timedelta(days=21))
    found = retain(careful, NICHE)
    assert found.forgotten == {"out of the library's days": 8}
    assert "videos" in kept.rows(kept.ids[0])
    assert kept.rows(kept.ids[1]) == {}
    assert not found.withheld.passed
    assert found.withheld.explanation.startswith(
        "1 out of the library's days. At most 8 of 40 videos are deleted at once unless a person confirms; these were kept"
    )
    assert retain(careful, NICHE).forgotten == {"out of the library's days": 1}


@pytest.mark.parametrize("why", ["videos are gone", "a channel is closed", "no quota for 30 days"])
def test_more_than_a_share_of_a_niche_is_forgotten_only_with_a_persons_word(kept: Kept, why: str) -> None:
    careful = kept.with_settings(forget_share=0.2)
    victims = kept.ids[:9]
    if why == "videos are gone":
        for video_id in victims:
            kept.emulator.remove(video_id)
    elif why == "a channel is closed":
        with kept.lab.engine.connect() as connection:
            channel = select(videos.c.channel_id).where(videos.c.video_id == kept.ids[0])
            closed = connection.execute(channel).scalar_one()
            victims = list(connection.scalars(select(videos.c.video_id).where(videos.c.channel_id == closed)))
        kept.emulator.close_channel(closed)
    else:
        careful = kept.with_settings(forget_share=0.2, quota_units=0)
        with kept.lab.engine.begin() as connection:
            connection.execute(update(videos).values(refreshed_at=kept.emulator.now + timedelta(days=20)))
            mine = update(videos).where(videos.c.video_id.in_(victims))
            connection.execute(mine.values(refreshed_at=kept.emulator.now - timedelta(days=10)))
    kept.emulator.advance(timedelta(days=26))
    found = retain(careful, NICHE)
    assert found.forgotten == {}
    (withheld,) = [verdict for verdict in check_retention(kept.lab, NICHE, found) if not verdict.passed]
    assert withheld.name == "not_too_many"
    assert (
        "At most 8 of 40 videos are deleted at once unless a person confirms; these were kept." in withheld.explanation
    )
    assert "materialize retention with the config confirmed: true" in withheld.explanation
    assert all("videos" in kept.rows(video_id) for video_id in victims)
    found = retain(careful, NICHE, confirmed=True)
    assert sum(found.forgotten.values()) == len(victims)
    assert all(verdict.passed for verdict in check_retention(kept.lab, NICHE, found))
    assert kept.rows(victims[0]) == {}


def test_a_youtube_that_knows_no_video_any_more_is_not_believed(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    from thumblab_pipelines.youtube.client import YouTube

    monkeypatch.setattr(YouTube, "videos", lambda *_: [])
    monkeypatch.setattr(YouTube, "existing_videos", lambda *_: set())
    monkeypatch.setattr(YouTube, "statistics", lambda self, ids: ([], self.now))
    kept.emulator.advance(timedelta(days=7))
    found = observe(kept.lab, NICHE)
    assert 5 < found.due == found.gone
    verdict = check_observation(found)[-1]
    assert not verdict.passed
    assert f"{found.due} removed or private" in verdict.explanation
    assert "materialize view_history with the config confirmed: true" in verdict.explanation
    assert all("videos" in kept.rows(video_id) for video_id in kept.ids)
    kept.emulator.advance(timedelta(days=19))
    assert retain(kept.lab, NICHE).forgotten == {}
    assert all("videos" in kept.rows(video_id) for video_id in kept.ids)


def test_what_the_crawl_and_a_person_brought_outlives_the_library_and_does_not_stand_in_it(kept: Kept) -> None:
    from thumblab_core.database.nearest import Library, sample
    from thumblab_core.ranking.channel_adapters import ChannelAdapterInfo, ChannelAdapters

    crawled, added, neither = kept.ids[0], kept.ids[1], kept.ids[2]
    rows = metadata.tables["crawl_videos"]
    with kept.lab.engine.begin() as connection:
        connection.execute(delete(rows).where(rows.c.video_id.in_([added, neither])))
        connection.execute(insert(channels).values(channel_id="UC_added", title="Added"))
        connection.execute(update(videos).where(videos.c.video_id == added).values(channel_id="UC_added"))
    ChannelAdapters(kept.lab.releases).publish(
        ChannelAdapterInfo("UC_added", "Added", "a model", 1, None), None, 3, [added], {}
    )
    chosen = kept.with_settings(library_days=30, training_days=60)
    before = build_index(chosen, NICHE).release.info["count"]
    assert before == len(kept.ids)
    for _ in range(2):  # they are asked for as everything is
        kept.emulator.advance(timedelta(days=20))
        with kept.lab.engine.begin() as connection:
            connection.execute(update(channels).values(refreshed_at=kept.emulator.now))
        retain(chosen, NICHE)
        observe(chosen, NICHE)
    assert kept.rows(neither) == {}
    assert {"videos", "crawl_videos"} <= set(kept.rows(crawled))
    assert "videos" in kept.rows(added)
    compute_baselines(chosen, NICHE)
    with kept.lab.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM channel_baselines")).scalar_one() == 0
    with pytest.raises(LabError, match="is empty"):
        build_index(chosen, NICHE)
    encoder = str(build_pairs(chosen).release.info["image_encoder"])
    library = Library(encoder, (NICHE,), chosen.settings.library_days)
    with kept.lab.engine.connect() as connection:
        assert sample(connection, library, 10)[0] == 0
    # And in the end they go too.
    kept.emulator.advance(timedelta(days=21))
    retain(chosen, NICHE)
    assert kept.rows(crawled) == {}
