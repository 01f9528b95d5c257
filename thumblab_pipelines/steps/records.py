"""Channels, videos and observations as they go into the database, whichever way they came in."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, CursorResult, func, literal_column
from sqlalchemy.dialects.postgresql import insert

from thumblab_core.database.tables import channels, video_stats, videos


@dataclass(frozen=True)
class ChannelRecord:
    """A channel; `subscriber_count` is None where it is hidden."""

    channel_id: str
    title: str
    subscriber_count: int | None = None
    uploads_playlist: str | None = None


@dataclass(frozen=True)
class VideoRecord:
    """A video as it was seen once. Counts are None where YouTube does not tell them; `duration_s` where it is live."""

    video_id: str
    niche: str
    channel_id: str
    title: str
    published_at: datetime
    duration_s: int | None
    tags: tuple[str, ...]
    thumbnail_url: str | None
    source: str
    observed_at: datetime
    view_count: int | None
    like_count: int | None = None
    comment_count: int | None = None


@dataclass(frozen=True)
class Saved:
    """How much of what was saved was new."""

    new_videos: int = 0
    new_observations: int = 0

    def __add__(self, other: "Saved") -> "Saved":
        return Saved(self.new_videos + other.new_videos, self.new_observations + other.new_observations)


def save_channels(connection: Connection, records: Sequence[ChannelRecord]) -> None:
    """Insert the channels or bring them up to date; a fact that is None now keeps what was known."""
    if not records:
        return
    statement = insert(channels).values([asdict(r) for r in records])
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=["channel_id"],
            set_={
                "title": statement.excluded.title,
                "subscriber_count": func.coalesce(statement.excluded.subscriber_count, channels.c.subscriber_count),
                "uploads_playlist": func.coalesce(statement.excluded.uploads_playlist, channels.c.uploads_playlist),
            },
        )
    )


def save_videos(connection: Connection, records: Sequence[VideoRecord]) -> Saved:
    """Insert the videos or bring them up to date, and add one observation each.

    A video keeps the niche it was first found in, and what is not told now keeps what was known. Seeing
    it again at the same moment adds nothing.
    """
    if not records:
        return Saved()
    facts = (
        "video_id",
        "niche",
        "channel_id",
        "title",
        "published_at",
        "duration_s",
        "tags",
        "thumbnail_url",
        "source",
    )
    statement = insert(videos).values([{name: _column(r, name) for name in facts} for r in records])
    inserted: CursorResult[tuple[bool]] = connection.execute(
        statement.on_conflict_do_update(
            index_elements=["video_id"],
            set_={
                "title": statement.excluded.title,
                "tags": statement.excluded.tags,
                "duration_s": func.coalesce(statement.excluded.duration_s, videos.c.duration_s),
                "thumbnail_url": func.coalesce(statement.excluded.thumbnail_url, videos.c.thumbnail_url),
            },
        ).returning(literal_column("(xmax = 0)").label("inserted"))
    )
    new_videos = sum(1 for row in inserted if row.inserted)
    counts = ("video_id", "observed_at", "view_count", "like_count", "comment_count")
    observed = connection.execute(
        insert(video_stats)
        .values([{name: getattr(r, name) for name in counts} for r in records])
        .on_conflict_do_nothing()
        .returning(video_stats.c.video_id)
    )
    return Saved(new_videos, len(observed.all()))


def _column(record: VideoRecord, name: str) -> object:
    value = getattr(record, name)
    return list(value) if isinstance(value, tuple) else value
