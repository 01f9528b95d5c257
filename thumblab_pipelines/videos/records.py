"""Save channels, videos and observations to the database, from YouTube or from a catalogue."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    and_,
    case,
    func,
    literal_column,
    not_,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import channels, video_stats, videos
from thumblab_core.views import era

VIDEO, SHORT, LIVE, UPCOMING = "video", "short", "live", "upcoming"
"""The formats of a video.

The library contains only the format `video`. Viewers do not choose a Short or a live video by its thumbnail, and cannot
watch an upcoming video yet.
"""

LONGEST_SHORT_S = 180
"""Maximum length of a Short, in seconds."""


@dataclass(frozen=True)
class ChannelRecord:
    """A channel.

    `handle`: the channel's @handle in lower case. `subscriber_count`: None if the channel hides it. `refreshed_at`:
    None if the record does not come from the API. `owner`: a text that identifies the API key with which the channel
    was added, or None if the lab itself added the channel.
    """

    channel_id: str
    title: str
    subscriber_count: int | None = None
    uploads_playlist: str | None = None
    video_count: int | None = None
    refreshed_at: datetime | None = None
    handle: str | None = None
    owner: str | None = None


@dataclass(frozen=True)
class VideoRecord:
    """A video at the moment `observed_at`.

    A count is None if YouTube does not give it. `duration_s`: None for a live video. `thumbnail_urls`: URLs of the
    available sizes, best size first. `aspect_ratio`: width divided by height of the video, not of its thumbnail.
    """

    video_id: str
    niche: str
    channel_id: str
    title: str
    published_at: datetime
    duration_s: int | None
    tags: tuple[str, ...]
    thumbnail_urls: tuple[str, ...]
    source: str
    observed_at: datetime
    view_count: int | None
    like_count: int | None = None
    comment_count: int | None = None
    format: str = VIDEO
    aspect_ratio: float | None = None
    language: str | None = None


@dataclass(frozen=True)
class Saved:
    """The numbers of new videos and of new observations that were saved."""

    new_videos: int = 0
    new_observations: int = 0

    def __add__(self, other: "Saved") -> "Saved":
        return Saved(self.new_videos + other.new_videos, self.new_observations + other.new_observations)


def save_channels(connection: Connection, records: Sequence[ChannelRecord]) -> None:
    """Insert or update the channels. If a field of a record is None, the stored value stays. The stored owner always
    stays.

    If another channel had the @handle of a record before, the other channel loses this @handle.
    """
    if not records:
        return
    # Each row occurs once, and the rows are in a fixed order, so two runs that save the same rows cannot deadlock.
    records = [record for _, record in sorted({r.channel_id: r for r in records}.items())]
    free_handles(connection, {r.channel_id: r.handle for r in records if r.handle is not None})
    statement = insert(channels).values([asdict(r) for r in records])
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["channel_id"],
            set_={
                "title": statement.excluded.title,
                "subscriber_count": func.coalesce(statement.excluded.subscriber_count, channels.c.subscriber_count),
                "uploads_playlist": func.coalesce(statement.excluded.uploads_playlist, channels.c.uploads_playlist),
                "video_count": func.coalesce(statement.excluded.video_count, channels.c.video_count),
                "refreshed_at": func.coalesce(statement.excluded.refreshed_at, channels.c.refreshed_at),
                "handle": func.coalesce(statement.excluded.handle, channels.c.handle),
            },
        )
    )


def free_handles(connection: Connection, seen: Mapping[str, str]) -> None:
    """Remove each @handle in `seen` from all channels except the channel that has this @handle now. `seen`: the
    @handles by channel id.

    A @handle belongs to only one channel. If a channel gives up its @handle, another channel may take it.
    """
    owners = tuple_(channels.c.channel_id, channels.c.handle)
    former = channels.c.handle.in_(seen.values()) & owners.not_in(list(seen.items()))
    if not seen or not (ids := connection.scalars(select(channels.c.channel_id).where(former)).all()):
        return
    # All rows that this transaction changes are locked in a fixed order, so that two runs cannot deadlock.
    locked = select(channels.c.channel_id).where(channels.c.channel_id.in_({*ids, *seen}))
    connection.execute(locked.order_by(channels.c.channel_id).with_for_update())
    connection.execute(update(channels).where(former).values(handle=None))


def save_videos(connection: Connection, records: Sequence[VideoRecord]) -> Saved:
    """Insert or update the videos, and add an observation of each video's counts.

    A video keeps the niche in which it was first found. If a record lacks the length, the shape, the language or the
    thumbnail URLs of its video, the stored value stays. If a record is older than the stored facts, it only adds its
    observation and the facts that the database lacks. If the database already has an observation of the video at the
    same moment, the counts of the record replace the stored counts.
    """
    if not records:
        return Saved()
    records = [record for _, record in sorted({r.video_id: r for r in records}.items())]
    facts = (
        "video_id",
        "niche",
        "channel_id",
        "title",
        "published_at",
        "duration_s",
        "tags",
        "thumbnail_urls",
        "source",
        "format",
        "aspect_ratio",
        "language",
    )
    statement = insert(videos).values(
        [
            {name: _column(r, name) for name in facts} | {"collected_at": r.observed_at, "refreshed_at": r.observed_at}
            for r in records
        ]
    )
    new, stored = statement.excluded, videos.c
    is_newer = new.refreshed_at >= stored.refreshed_at
    has_urls, had_urls = func.cardinality(new.thumbnail_urls) > 0, func.cardinality(stored.thumbnail_urls) > 0
    urls = case((and_(has_urls, or_(is_newer, not_(had_urls))), new.thumbnail_urls), else_=stored.thumbnail_urls)
    # The format changes when a live video ends or an upcoming video starts. If the new record of a Short has no aspect
    # ratio, the stored format stays `short`.
    stays_short = and_(stored.format == SHORT, new.format == VIDEO, new.aspect_ratio.is_(None))
    # The date of publication of a premiere changes when the premiere takes place, so the date is updated too.
    replaced: dict[str, ColumnElement[Any]] = {name: new[name] for name in ("title", "published_at", "tags")}
    replaced["format"] = case((stays_short, SHORT), else_=new.format)
    changed: dict[str, ColumnElement[Any]] = {
        "thumbnail_urls": urls,
        "refreshed_at": func.greatest(new.refreshed_at, stored.refreshed_at),
    }
    for name, value in replaced.items():
        changed[name] = case((is_newer, value), else_=stored[name])
    for name in ("duration_s", "aspect_ratio", "language"):
        newer, older = func.coalesce(new[name], stored[name]), func.coalesce(stored[name], new[name])
        changed[name] = case((is_newer, newer), else_=older)
    inserted: CursorResult[tuple[bool]] = connection.execute(
        statement.on_conflict_do_update(index_elements=["video_id"], set_=changed).returning(
            literal_column("(xmax = 0)").label("inserted")
        )
    )
    new_videos = sum(1 for row in inserted if row.inserted)
    return Saved(new_videos, _save_counts(connection, records))


def _save_counts(connection: Connection, records: Sequence[VideoRecord]) -> int:
    """Store the counts of each video at the moment of its record. Return the number of new observations.

    A person may import a catalogue again to correct its counts. A count that a record lacks replaces no stored count.
    """
    counts = ("view_count", "like_count", "comment_count")
    columns = ("video_id", "observed_at", *counts)
    statement = insert(video_stats).values(
        [{name: getattr(r, name) for name in columns} | {"era": era(r.format, r.observed_at)} for r in records]
    )
    new, stored = statement.excluded, video_stats.c
    replaced = {name: func.coalesce(new[name], stored[name]) for name in counts}
    differs = or_(*(value.is_distinct_from(stored[name]) for name, value in replaced.items()))
    saved: CursorResult[tuple[bool]] = connection.execute(
        statement.on_conflict_do_update(
            index_elements=["video_id", "observed_at"], set_=replaced, where=differs
        ).returning(literal_column("(xmax = 0)").label("inserted"))
    )
    return sum(1 for row in saved if row.inserted)


def format_of(broadcast: str, duration_s: int | None, aspect_ratio: float | None) -> str:
    """Return the format of a video.

    YouTube has no flag for a Short. A video counts as a Short if it lasts at most 180 s and is not wider than high. A
    video of unknown shape counts as `video`. `training_pairs` leaves out all videos that may be Shorts.
    """
    if broadcast in (LIVE, UPCOMING):
        return broadcast
    if duration_s is not None and duration_s <= LONGEST_SHORT_S and aspect_ratio is not None and aspect_ratio <= 1:
        return SHORT
    return VIDEO


def _column(record: VideoRecord, name: str) -> object:
    """Return the field `name` of the record in the form that the database stores. A tuple becomes a list."""
    value = getattr(record, name)
    return list(value) if isinstance(value, tuple) else value
