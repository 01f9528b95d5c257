"""Tests of checking the known pictures again from time to time.

If a picture has changed, it is stored as a new version of the video's thumbnail. The old version is kept.
"""

from collections.abc import Callable
from datetime import timedelta

import pytest
from downloading import encoded_anew, later, move, row_of, rows, versions, video_ids
from sqlalchemy import delete, insert, select, text, update

from demo import faults
from demo.catalogues.synthetic import SyntheticCatalogue
from demo.emulator import Emulator
from thumblab_core.database.tables import thumbnails, video_stats, videos
from thumblab_core.images import digest
from thumblab_pipelines.collection.download import download_thumbnails
from thumblab_pipelines.lab import Lab


@pytest.fixture
def lab(collected_lab: Lab) -> Lab:
    return collected_lab


def test_an_unchanged_picture_costs_a_304_and_no_bytes(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        first = emulator.now
        download_thumbnails(lab, "tech")
        before, counts = rows(lab), emulator.counts
        later(lab, emulator, days=8)
        downloaded = download_thumbnails(lab, "tech")
        now = emulator.now
        assert emulator.counts.images == counts.images
        assert emulator.counts.images_not_modified == len(before)
    assert (downloaded.rechecked, downloaded.unchanged, downloaded.bytes, downloaded.changed) == (
        len(before),
        len(before),
        0,
        0,
    )
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
        downloaded = download_thumbnails(lab, "tech")
    assert downloaded.unchanged == len(rows(lab))
    assert downloaded.bytes > 0
    assert all(row.etag for row in rows(lab))


def test_a_changed_thumbnail_keeps_both_versions_and_their_view_rates(
    lab: Lab, catalogue: SyntheticCatalogue, drawn: Callable[..., bytes]
) -> None:
    other = drawn(77, size=(1280, 720))
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        first = emulator.now
        download_thumbnails(lab, "tech")
        name = video_ids(lab)[0]
        old = row_of(lab, name)
        later(lab, emulator, days=8)
        middle = emulator.now
        download_thumbnails(lab, "tech")
        emulator.change_thumbnail(name, other)
        later(lab, emulator, days=8)
        with lab.engine.begin() as connection:
            old_title = connection.scalar(select(videos.c.title).where(videos.c.video_id == name))
            connection.execute(update(videos).where(videos.c.video_id == name).values(title="Another title"))
        downloaded = download_thumbnails(lab, "tech")
        seen = emulator.now
        later(lab, emulator, days=8)
        again = download_thumbnails(lab, "tech")
        end = emulator.now
    assert (downloaded.changed, downloaded.rechecked) == (1, len(rows(lab)))
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


def test_a_picture_that_was_only_encoded_again_is_not_a_change(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        download_thumbnails(lab, "tech")
        name = video_ids(lab)[0]
        old = row_of(lab, name)
        emulator.change_thumbnail(name, encoded_anew(lab.images.get(old.sha256)))
        later(lab, emulator, days=8)
        downloaded = download_thumbnails(lab, "tech")
        now, counts = emulator.now, emulator.counts
        later(lab, emulator, days=8)
        download_thumbnails(lab, "tech")
        # The lab sent the ETag of the new file, so the emulator did not send the file again.
        assert emulator.counts.images == counts.images
    assert (downloaded.changed, downloaded.unchanged) == (0, len(rows(lab)))
    new = row_of(lab, name)
    assert (new.sha256, new.fetched_at) == (old.sha256, old.fetched_at)
    assert new.etag != old.etag
    (version,) = versions(lab, name)
    assert version.sha256 == old.sha256
    assert version.last_seen > now


def test_a_better_size_of_the_same_picture_is_not_a_change(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator, ("sddefault",))
        download_thumbnails(lab, "tech")
        lab = move(lab, emulator)
        later(lab, emulator, days=8)
        downloaded = download_thumbnails(lab, "tech")
    assert (downloaded.changed, downloaded.unchanged) == (0, len(rows(lab)))
    assert all(row.url.endswith("/maxresdefault.jpg") for row in rows(lab))


def test_a_known_picture_whose_url_is_gone_is_kept_and_counted(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        download_thumbnails(lab, "tech")
        name = video_ids(lab)[0]
        old = row_of(lab, name)
        emulator.remove(name)
        later(lab, emulator, days=8)
        downloaded = download_thumbnails(lab, "tech")
        again = download_thumbnails(lab, "tech")
    assert (downloaded.gone, downloaded.unchanged, downloaded.unreadable) == (1, len(rows(lab)) - 1, 0)
    assert again.rechecked == 0
    new = row_of(lab, name)
    assert (new.sha256, new.problem) == (old.sha256, None)
    assert lab.images.get(new.sha256)
    (version,) = versions(lab, name)
    assert version.last_seen == old.checked_at


def test_young_videos_are_checked_daily_and_others_weekly(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        young, *others = video_ids(lab)
        with lab.engine.begin() as connection:
            old = emulator.now - timedelta(days=60)
            connection.execute(update(videos).values(published_at=old))
            recent = update(videos).where(videos.c.video_id == young)
            connection.execute(recent.values(published_at=emulator.now - timedelta(days=1)))
        download_thumbnails(lab, "tech")
        assert download_thumbnails(lab, "tech").rechecked == 0
        # The lab checks a picture again a little less than 24 hours after its last check, because a daily run may start
        # a little early.
        later(lab, emulator, hours=23)
        assert download_thumbnails(lab, "tech").rechecked == 1
        later(lab, emulator, days=5)
        assert download_thumbnails(lab, "tech").rechecked == 1
        later(lab, emulator, days=1, hours=1)
        assert download_thumbnails(lab, "tech").rechecked == 1 + len(others)
        monthly = move(lab, emulator, thumbnail_recheck_days=30.0)
        later(lab, emulator, days=20)
        assert download_thumbnails(monthly, "tech").rechecked == 0  # No video is young enough for daily checks.


def test_a_run_checks_a_limited_number_of_pictures_and_the_longest_unchecked_first(
    lab: Lab, catalogue: SyntheticCatalogue
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator, thumbnail_rechecks=7)
        download_thumbnails(lab, "tech")
        checked: list[set[str]] = []
        for _ in range(3):
            later(lab, emulator, days=8)  # After 8 days, every picture has to be checked again.
            assert download_thumbnails(lab, "tech").rechecked == 7
            checked.append({row.video_id for row in rows(lab) if row.checked_at == emulator.now})
    assert len(set().union(*checked)) == min(21, len(rows(lab)))


def test_a_picture_that_is_lost_from_the_store_is_fetched_again_when_it_is_due(
    lab: Lab, catalogue: SyntheticCatalogue
) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        download_thumbnails(lab, "tech")
        lost = rows(lab)[0]
        lab.images.path(lost.sha256).unlink()
        later(lab, emulator, days=8)
        downloaded = download_thumbnails(lab, "tech")
    assert (downloaded.changed, downloaded.unchanged) == (0, len(rows(lab)))
    assert lab.images.get(lost.sha256)


def test_a_broken_answer_does_not_change_a_known_picture(lab: Lab, catalogue: SyntheticCatalogue) -> None:
    with Emulator(catalogue) as emulator:
        lab = move(lab, emulator)
        download_thumbnails(lab, "tech")
        before = rows(lab)
        later(lab, emulator, days=8)
        emulator.inject(faults.wrong_content_type(), endpoint="image", times=None)
        downloaded = download_thumbnails(lab, "tech")
        assert (downloaded.postponed, downloaded.rechecked) == (len(before), 0)
        assert rows(lab) == before
        emulator.heal()
        assert download_thumbnails(lab, "tech").unchanged == len(before)
