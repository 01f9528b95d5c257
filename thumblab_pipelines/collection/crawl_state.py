"""How far the crawl is, in PostgreSQL: three lists that workers of any number of processes take from and put into.

Work is taken with `FOR UPDATE SKIP LOCKED` inside the transaction that also stores its result. A worker that dies takes its
lock with it, and the work is there again: a kill costs the calls that were under way and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, and_, bindparam, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import channels, crawl_channels, crawl_searches, crawl_videos
from thumblab_pipelines.collection.crawl_rules import KEPT, OUTLIER, OUTLIER_SIGMAS
from thumblab_pipelines.youtube.answers import Hit, Upload

_SLICE = timedelta(days=7)
_MONDAY = datetime(2024, 1, 1, tzinfo=UTC)
_ORDERS = ("viewCount", "date")
"""By views alone only the channels at the top would be found; by date anybody who uploads is."""

_FRUITLESS = 3
"""A stretch of time whose last page brought fewer new channels than this is searched no further."""


@dataclass(frozen=True)
class Search:
    """A stretch of time to search, and where the search stands."""

    published_after: datetime
    published_before: datetime
    order: str
    pages: int
    cursor: str | None


@dataclass(frozen=True)
class Walk:
    """A channel whose uploads are walked, `pages` of them so far; `again` where it was walked to its end before."""

    channel_id: str
    playlist: str
    pages: int
    cursor: str | None
    again: bool
    restarts: int


@dataclass(frozen=True)
class Counted:
    """The state of a niche: channels and videos by what became of them. Walking and waiting are what is left to do."""

    channels: int
    channels_excluded: dict[str, int]
    channels_to_check: int
    channels_to_walk: int
    videos: dict[str, int]
    videos_waiting: int

    @property
    def kept(self) -> int:
        return self.videos.get(KEPT, 0)


def seed(connection: Connection, niche: str, now: datetime) -> None:
    """Channels that the library has found already are known at no cost."""
    connection.execute(
        text("""
            INSERT INTO crawl_channels (channel_id, niche, found_at)
            SELECT DISTINCT channel_id, niche, CAST(:now AS timestamptz) FROM videos
            WHERE niche = :niche AND source = 'youtube' ORDER BY channel_id
            ON CONFLICT DO NOTHING
        """),
        {"niche": niche, "now": now},
    )


def add(connection: Connection, niche: str, found: Mapping[str, str], now: datetime) -> int:
    """Channels that were found, by id, with their titles; how many are new to the crawl."""
    if not found:
        return 0
    names = [{"channel_id": channel_id, "title": title} for channel_id, title in sorted(found.items())]
    connection.execute(insert(channels).values(names).on_conflict_do_nothing())
    rows = [{"channel_id": channel_id, "niche": niche, "found_at": now} for channel_id in sorted(found)]
    statement = insert(crawl_channels).values(rows).on_conflict_do_nothing()
    return len(connection.execute(statement.returning(crawl_channels.c.channel_id)).all())


def plan_searches(connection: Connection, niche: str, now: datetime, days: int) -> None:
    """Cut the last `days` into weeks; those that were searched before stay as they are."""
    # Whole weeks of the calendar, so that those of a later run are the same ones, and searched already.
    this_week = _MONDAY + (now - _MONDAY) // _SLICE * _SLICE
    weeks = -(-days // _SLICE.days)
    rows = [
        {
            "niche": niche,
            "published_after": this_week - n * _SLICE,
            "published_before": this_week - (n - 1) * _SLICE,
            "order": order,
        }
        for n in range(weeks + 1)
        for order in _ORDERS
    ]
    connection.execute(insert(crawl_searches).values(rows).on_conflict_do_nothing())


def take_search(connection: Connection, niche: str) -> Search | None:
    """The stretch searched least so far, the newest first: channels of all weeks before the depth of one.

    It is this connection's alone until its transaction ends; None where others have what is left.
    """
    table = crawl_searches.c
    row = connection.execute(
        select(table.published_after, table.published_before, table.order, table.pages, table.cursor)
        .where(table.niche == niche, table.finished_at.is_(None))
        .order_by(table.pages, table.published_after.desc(), table.order.desc())
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()
    return None if row is None else Search(*row)


def save_search(
    connection: Connection, niche: str, search: Search, hits: Sequence[Hit], cursor: str | None, now: datetime
) -> int:
    """Store the channels of a page and where the search goes on; how many channels are new."""
    new = add(connection, niche, {hit.channel_id: hit.channel_title for hit in hits}, now)
    end = cursor is None or new < _FRUITLESS
    table = crawl_searches.c
    connection.execute(
        update(crawl_searches)
        .where(
            table.niche == niche,
            table.published_after == search.published_after,
            table.published_before == search.published_before,
            table.order == search.order,
        )
        .values(pages=search.pages + 1, cursor=cursor, finished_at=now if end else None)
    )
    return new


def end_searches(connection: Connection, niche: str, now: datetime) -> None:
    """Search no stretch of the niche any further."""
    table = crawl_searches.c
    connection.execute(
        update(crawl_searches).where(table.niche == niche, table.finished_at.is_(None)).values(finished_at=now)
    )


def count_channels(connection: Connection, niche: str) -> int:
    statement = select(func.count()).select_from(crawl_channels).where(crawl_channels.c.niche == niche)
    return connection.execute(statement).scalar_one()


def pages_searched(connection: Connection, niche: str) -> int:
    table = crawl_searches.c
    statement = select(func.coalesce(func.sum(table.pages), 0)).where(table.niche == niche)
    return int(connection.execute(statement).scalar_one())


def readmit(connection: Connection, channel_ids: Sequence[str]) -> None:
    """Have channels that were left out checked again at the next crawl."""
    table = crawl_channels.c
    connection.execute(
        update(crawl_channels)
        .where(table.channel_id.in_(channel_ids), table.excluded.is_not(None))
        .values(checked_at=None, excluded=None, walked_at=None)
    )


def unchecked(connection: Connection, niche: str, limit: int, before: datetime) -> list[str]:
    """Channels that channels.list was not asked about yet; those left out before the moment get another chance."""
    table = crawl_channels.c
    left_out = and_(table.excluded.is_not(None), table.checked_at < before)
    statement = (
        select(table.channel_id)
        .where(table.niche == niche, or_(table.checked_at.is_(None), left_out))
        .order_by(table.channel_id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return list(connection.scalars(statement))


def save_checked(connection: Connection, excluded: Mapping[str, str | None], now: datetime) -> None:
    """Store for each channel why it is left out, or None."""
    connection.execute(
        update(crawl_channels)
        .where(crawl_channels.c.channel_id == bindparam("key"))
        .values(checked_at=now, excluded=bindparam("reason")),
        [{"key": channel_id, "reason": reason} for channel_id, reason in sorted(excluded.items())],
    )


_TO_WALK = """
FROM crawl_channels w JOIN channels c USING (channel_id)
WHERE w.niche = :niche AND w.checked_at IS NOT NULL AND w.excluded IS NULL
  AND (w.walked_at IS NULL OR w.walked_at < :before)
"""
_TAKE_WALK = text(f"""
SELECT w.channel_id, c.uploads_playlist, w.pages, w.cursor, w.walked_at IS NOT NULL AS again, w.restarts
{_TO_WALK}
ORDER BY w.channel_id LIMIT 1 FOR UPDATE OF w SKIP LOCKED
""")
_ANY_TO_WALK = text(f"SELECT EXISTS (SELECT 1 {_TO_WALK})")


def take_walk(connection: Connection, niche: str, before: datetime) -> Walk | None:
    """A channel to walk on, this connection's alone until its transaction ends; None where others have the rest.

    Channels that were walked to their end before the moment `before` are walked again.
    """
    row = connection.execute(_TAKE_WALK, {"niche": niche, "before": before}).first()
    return None if row is None else Walk(*row)


def any_to_walk(connection: Connection, niche: str, before: datetime) -> bool:
    """Whether a channel is still to be walked, also one that another worker has."""
    return bool(connection.execute(_ANY_TO_WALK, {"niche": niche, "before": before}).scalar_one())


def save_page(connection: Connection, niche: str, walk: Walk, uploads: Sequence[Upload]) -> int:
    """Put the uploads of a page on the list of what to look at; how many were not on it before."""
    if not uploads:
        return 0
    rows = [
        {"video_id": item.video_id, "channel_id": walk.channel_id, "niche": niche, "published_at": item.published_at}
        for item in {item.video_id: item for item in uploads}.values()
    ]
    statement = insert(crawl_videos).values(rows).on_conflict_do_nothing().returning(crawl_videos.c.video_id)
    return len(connection.execute(statement).all())


def save_walk(connection: Connection, walk: Walk, cursor: str | None, walked_at: datetime | None) -> None:
    """Store where the walk goes on (`cursor`), or that it came to its end (`walked_at`)."""
    pages = 0 if walked_at else walk.pages + 1
    # A walk that goes on keeps the moment at which the one before it ended.
    ended = {"walked_at": walked_at, "restarts": 0} if walked_at else {}
    _update(connection, walk.channel_id, pages=pages, cursor=cursor, **ended)


def restart_walk(connection: Connection, walk: Walk) -> None:
    """From the first page again: tokens of pages are not good for ever."""
    _update(connection, walk.channel_id, pages=0, cursor=None, restarts=walk.restarts + 1)


def exclude(connection: Connection, channel_id: str, reason: str) -> None:
    _update(connection, channel_id, excluded=reason, cursor=None, pages=0)


def _update(connection: Connection, channel_id: str, **values: object) -> None:
    connection.execute(update(crawl_channels).where(crawl_channels.c.channel_id == channel_id).values(**values))


_TAKE_VIDEOS = text("""
SELECT video_id, channel_id FROM crawl_videos WHERE niche = :niche AND outcome IS NULL
ORDER BY video_id LIMIT :limit FOR UPDATE SKIP LOCKED
""")


def take_videos(connection: Connection, niche: str, limit: int) -> dict[str, str]:
    """Videos to look at, with the channel that listed them; this connection's alone until its transaction ends."""
    rows = connection.execute(_TAKE_VIDEOS, {"niche": niche, "limit": limit})
    return {row.video_id: row.channel_id for row in rows}


def save_outcomes(connection: Connection, outcomes: Mapping[str, str]) -> None:
    connection.execute(
        text("""
            UPDATE crawl_videos SET outcome = found.outcome
            FROM unnest(CAST(:ids AS text[]), CAST(:outcomes AS text[])) AS found (video_id, outcome)
            WHERE crawl_videos.video_id = found.video_id
        """),
        {"ids": list(outcomes), "outcomes": list(outcomes.values())},
    )


_MARK_OUTLIERS = text("""
WITH latest AS (
  SELECT k.video_id, k.channel_id, k.outcome, ln(s.view_count / a.age_hours) AS rate
  FROM crawl_videos k JOIN videos v USING (video_id)
  CROSS JOIN LATERAL (
    SELECT view_count, observed_at FROM video_stats
    WHERE video_stats.video_id = k.video_id AND view_count > 0 ORDER BY observed_at DESC LIMIT 1
  ) s
  CROSS JOIN LATERAL (
    SELECT GREATEST(EXTRACT(EPOCH FROM s.observed_at - v.published_at) / 3600.0, 1.0)::float AS age_hours
  ) a
  WHERE k.niche = :niche AND k.outcome IN (:kept, :outlier)
), judged AS (
  SELECT video_id, outcome,
         CASE WHEN abs(rate - avg(rate) OVER channel) > :sigmas * stddev_pop(rate) OVER channel
              THEN :outlier ELSE :kept END AS should
  FROM latest WINDOW channel AS (PARTITION BY channel_id)
)
UPDATE crawl_videos SET outcome = judged.should FROM judged
WHERE crawl_videos.video_id = judged.video_id AND judged.outcome <> judged.should
""")


def mark_outliers(connection: Connection, niche: str) -> None:
    """Judge each video that was kept against its channel: ln views per hour, beyond three standard deviations.

    Of the logarithm, because views are distributed so: in plain views every channel's best videos would be thrown away.
    An outlier stays in the library, where it may well be a winner; only the training leaves it out.
    """
    connection.execute(_MARK_OUTLIERS, {"niche": niche, "kept": KEPT, "outlier": OUTLIER, "sigmas": OUTLIER_SIGMAS})


def count(connection: Connection, niche: str, before: datetime) -> Counted:
    """How the niche stands. `before` as in `take_walk`."""
    table = crawl_channels.c
    reasons = connection.execute(
        select(table.excluded, func.count())
        .where(table.niche == niche, table.excluded.is_not(None))
        .group_by(table.excluded)
        .order_by(func.count().desc(), table.excluded)
    )
    outcomes = connection.execute(
        select(crawl_videos.c.outcome, func.count())
        .where(crawl_videos.c.niche == niche)
        .group_by(crawl_videos.c.outcome)
        .order_by(func.count().desc(), crawl_videos.c.outcome)
    )
    unchecked_count = connection.execute(
        select(func.count()).where(table.niche == niche, table.checked_at.is_(None)).select_from(crawl_channels)
    ).scalar_one()
    to_walk = connection.execute(text(f"SELECT count(*) {_TO_WALK}"), {"niche": niche, "before": before}).scalar_one()
    waiting = 0
    looked_at: dict[str, int] = {}
    for outcome, number in outcomes:
        if outcome is None:
            waiting = number
        else:
            looked_at[outcome] = number
    return Counted(count_channels(connection, niche), dict(reasons.all()), unchecked_count, to_walk, looked_at, waiting)
