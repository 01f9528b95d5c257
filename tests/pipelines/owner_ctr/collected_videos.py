"""A helper that puts videos into the lab as if they had been collected from YouTube."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.dialects import postgresql

from thumblab_core.database.tables import channels, videos
from thumblab_pipelines.lab import Lab


def collect_video(lab: Lab, video_id: str, **columns: Any) -> None:
    """Insert a video of the channel `c`. `columns` are further values of its row."""
    now = datetime.now(UTC)
    facts = {"niche": "tech", "channel_id": "c", "title": "t", "tags": [], "source": "youtube"}
    times = {"published_at": now, "refreshed_at": now}
    with lab.engine.begin() as connection:
        connection.execute(postgresql.insert(channels).values(channel_id="c", title="c").on_conflict_do_nothing())
        connection.execute(insert(videos).values(video_id=video_id, **facts, **times, **columns))
