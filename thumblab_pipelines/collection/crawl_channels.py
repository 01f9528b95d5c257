"""Keep the crawl's channels in PostgreSQL: the known channels, the excluded channels, and how far the uploads of each
channel were read.

A walk reads the uploads of a channel, page by page. `crawl_state` explains how workers share the tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, bindparam, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import channels, crawl_channels

TO_WALK = """
FROM crawl_channels w JOIN channels c USING (channel_id)
WHERE w.niche = :niche AND w.checked_at IS NOT NULL AND w.excluded IS NULL
  AND (w.walked_at IS NULL OR w.walked_at < :before)
"""
"""The end of a SELECT statement, from its FROM clause on.

The clause selects the channels of `:niche` whose uploads are to be read. A channel whose last walk ended before the
moment `:before` is to be walked again.
"""

_SEED = text("""
INSERT INTO crawl_channels (channel_id, niche, found_at)
SELECT DISTINCT channel_id, niche, CAST(:now AS timestamptz) FROM videos
WHERE niche = :niche AND source = 'youtube' ORDER BY channel_id
ON CONFLICT DO NOTHING
""")
_TAKE_WALK = text(f"""
SELECT w.channel_id, c.uploads_playlist, w.pages, w.cursor, w.walked_at IS NOT NULL AS again, w.restarts
{TO_WALK}
ORDER BY w.channel_id LIMIT 1 FOR UPDATE OF w SKIP LOCKED
""")
_ANY_TO_WALK = text(f"SELECT EXISTS (SELECT 1 {TO_WALK})")


@dataclass(frozen=True)
class Walk:
    """The walk over the uploads of a channel.

    `pages` is the number of pages that were read so far, and `cursor` is the token of the next page. `again` is true if
    a walk over the same channel was finished before this walk. `restarts` counts how often this walk started again from
    the first page.
    """

    channel_id: str
    playlist: str
    pages: int
    cursor: str | None
    again: bool
    restarts: int


def seed(connection: Connection, niche: str, now: datetime) -> None:
    """Add channels to the crawl: the channels of all videos of the niche that come from YouTube. This costs no quota."""
    connection.execute(_SEED, {"niche": niche, "now": now})


def add(connection: Connection, niche: str, titles: Mapping[str, str], now: datetime) -> int:
    """Add channels to the crawl, and return how many of these channels the crawl did not know yet.

    `titles` has the title of each channel by its id.
    """
    if not titles:
        return 0
    names = [{"channel_id": channel_id, "title": title} for channel_id, title in sorted(titles.items())]
    connection.execute(insert(channels).values(names).on_conflict_do_nothing())
    rows = [{"channel_id": channel_id, "niche": niche, "found_at": now} for channel_id in sorted(titles)]
    statement = insert(crawl_channels).values(rows).on_conflict_do_nothing()
    return len(connection.execute(statement.returning(crawl_channels.c.channel_id)).all())


def count_channels(connection: Connection, niche: str) -> int:
    """Return how many channels of the niche are known to the crawl."""
    statement = select(func.count()).select_from(crawl_channels).where(crawl_channels.c.niche == niche)
    return connection.execute(statement).scalar_one()


def readmit(connection: Connection, channel_ids: Sequence[str]) -> None:
    """Let the next crawl check excluded channels again. Channels in `channel_ids` that are not excluded stay as they
    are.
    """
    table = crawl_channels.c
    connection.execute(
        update(crawl_channels)
        .where(table.channel_id.in_(channel_ids), table.excluded.is_not(None))
        .values(checked_at=None, excluded=None, walked_at=None)
    )


def take_unchecked(connection: Connection, niche: str, limit: int, before: datetime) -> list[str]:
    """Take at most `limit` channels to check: new channels, and excluded channels that were last checked before
    `before`.

    The channels are locked for this connection until its transaction ends.
    """
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
    """Store that the channels in `excluded` were checked at `now`, and which of them the crawl leaves out.

    `excluded` maps the id of each channel to the reason for leaving it out, or to None for a channel that is not left
    out.
    """
    connection.execute(
        update(crawl_channels)
        .where(crawl_channels.c.channel_id == bindparam("key"))
        .values(checked_at=now, excluded=bindparam("reason")),
        [{"key": channel_id, "reason": reason} for channel_id, reason in sorted(excluded.items())],
    )


def take_walk(connection: Connection, niche: str, before: datetime) -> Walk | None:
    """Take a channel whose walk is not finished, or whose last walk ended before the moment `before`.

    The channel is locked for this connection until its transaction ends. Return None if there is no such channel, or if
    other connections have locked all such channels.
    """
    row = connection.execute(_TAKE_WALK, {"niche": niche, "before": before}).first()
    return None if row is None else Walk(*row)


def any_to_walk(connection: Connection, niche: str, before: datetime) -> bool:
    """Return whether the niche has a channel whose uploads are still to be read.

    Channels that other workers have locked are included.
    """
    return bool(connection.execute(_ANY_TO_WALK, {"niche": niche, "before": before}).scalar_one())


def save_walk(connection: Connection, walk: Walk, cursor: str | None, walked_at: datetime | None) -> None:
    """Store the token of the walk's next page. If the walk has ended, `walked_at` is the time of its end."""
    pages = 0 if walked_at else walk.pages + 1
    # The column `walked_at` says when a walk over this channel last ended. So the column stays as it is while a walk
    # runs.
    ended = {"walked_at": walked_at, "restarts": 0} if walked_at else {}
    _update(connection, walk.channel_id, pages=pages, cursor=cursor, **ended)


def restart_walk(connection: Connection, walk: Walk) -> None:
    """Start the walk again from the first page, because the token of its next page is no longer valid."""
    _update(connection, walk.channel_id, pages=0, cursor=None, restarts=walk.restarts + 1)


def exclude(connection: Connection, channel_id: str, reason: str) -> None:
    """Leave the channel out of the crawl, and delete the place in its uploads where the walk would continue."""
    _update(connection, channel_id, excluded=reason, cursor=None, pages=0)


def _update(connection: Connection, channel_id: str, **values: object) -> None:
    connection.execute(update(crawl_channels).where(crawl_channels.c.channel_id == channel_id).values(**values))
