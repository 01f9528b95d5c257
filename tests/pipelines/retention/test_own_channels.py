"""Tests that an own channel stays when YouTube no longer has it: its key, its imported videos and its experiments."""

from datetime import date, timedelta
from typing import Any

from full_lab import FullLab
from sqlalchemy import insert, select, update

from thumblab_core.database.tables import channels, crawl_channels, videos
from thumblab_core.experiments.records import Experiment, Variant
from thumblab_core.experiments.store import read_experiments, save
from thumblab_pipelines.retention.expiry import delete_unused_channels

KEY, OTHER = "key-of-the-owner", "key-of-somebody-else"


def experiments_for(full: FullLab, owner: str) -> int:
    with full.lab.engine.connect() as connection:
        return len(read_experiments(connection, owner=owner))


def row_of(full: FullLab, channel_id: str) -> dict[str, Any] | None:
    with full.lab.engine.connect() as connection:
        row = connection.execute(select(channels).where(channels.c.channel_id == channel_id)).one_or_none()
    return None if row is None else {name: value for name, value in row._mapping.items() if value is not None}


def test_a_closed_channel_of_a_key_keeps_its_experiments_secret_and_its_imported_videos(full: FullLab) -> None:
    imported = full.ids[0]
    with full.lab.engine.begin() as connection:
        channel_id = str(connection.scalar(select(videos.c.channel_id).where(videos.c.video_id == imported)))
        of_channel = videos.c.channel_id == channel_id
        collected = set(connection.scalars(select(videos.c.video_id).where(of_channel))) - {imported}
        connection.execute(update(channels).where(channels.c.channel_id == channel_id).values(owner=KEY))
        connection.execute(update(videos).where(videos.c.video_id == imported).values(source="catalogue"))
        variants = (Variant(None, "one"), Variant(None, "two"))
        save(connection, Experiment(channel_id, imported, date(2026, 1, 1), None, "inconclusive", None, variants))
        title = connection.scalar(select(channels.c.title).where(channels.c.channel_id == channel_id))
    assert collected
    assert (experiments_for(full, KEY), experiments_for(full, OTHER)) == (1, 0)
    full.emulator.close_channel(channel_id)
    full.emulator.advance(timedelta(days=26))
    assert full.retain_day().deleted == {"channel gone": len(collected)}
    assert (experiments_for(full, KEY), experiments_for(full, OTHER)) == (1, 0)
    assert row_of(full, channel_id) == {"channel_id": channel_id, "title": title, "owner": KEY}
    with full.lab.engine.connect() as connection:
        assert list(connection.scalars(select(videos.c.video_id).where(of_channel))) == [imported]
        crawled = crawl_channels.c.channel_id == channel_id
        assert connection.execute(select(crawl_channels).where(crawled)).all() == []


def test_a_channel_of_a_key_without_videos_keeps_only_its_title_and_its_key(full: FullLab) -> None:
    refreshed = full.emulator.now
    facts = {
        "subscriber_count": 5,
        "uploads_playlist": "UU",
        "video_count": 2,
        "handle": "@a",
        "refreshed_at": refreshed,
    }
    given = [{"channel_id": name, "title": name, "owner": owner, **facts} for name, owner in (("a", KEY), ("b", None))]
    with full.lab.engine.begin() as connection:
        connection.execute(insert(channels), given)
    assert delete_unused_channels(full.lab, refreshed + timedelta(days=29)) == 0
    assert delete_unused_channels(full.lab, refreshed + timedelta(days=31)) == 1
    assert row_of(full, "a") == {"channel_id": "a", "title": "a", "owner": KEY}
    assert row_of(full, "b") is None
