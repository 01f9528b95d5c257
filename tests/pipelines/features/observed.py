"""A lab whose videos and observations are not collected from the emulator. A test writes them into the database."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Executable, Row, insert, text
from sqlalchemy.dialects.postgresql import insert as upsert

from thumblab_core.database.tables import channels, embeddings, thumbnails, video_stats, videos
from thumblab_pipelines.lab import Lab

PUBLISHED = datetime(2026, 9, 1, 12, tzinfo=UTC)
ERA = "playback_start"
Observation = tuple[float, int | None] | tuple[float, int | None, str]
"""The age of a video in hours, its view count at this age, and the era of the count.

The era is the definition by which YouTube counted the views. The default of the era is `ERA`.
"""


class Observed:
    """A lab that starts empty, and to which a test adds videos and their observations."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def video(
        self, video_id: str, *seen: Observation, channel: str = "c", niche: str = "tech", kind: str = "video"
    ) -> None:
        """Add a video with the observations `seen`. The video has a picture with a vector, so it can be in the library."""
        row: dict[str, Any] = {
            "video_id": video_id,
            "niche": niche,
            "channel_id": channel,
            "title": video_id,
            "published_at": PUBLISHED,
            "format": kind,
            "tags": [],
            "source": "youtube",
            "collected_at": PUBLISHED + timedelta(hours=max((age for age, *_ in seen), default=0)),
            "refreshed_at": PUBLISHED,
        }
        picture = {"video_id": video_id, "sha256": video_id, "fetched_at": PUBLISHED, "checked_at": PUBLISHED}
        vector = {"video_id": video_id, "encoder": "e", "source_digest": video_id, "vector": [1.0] * 4}
        with self.lab.engine.begin() as connection:
            connection.execute(upsert(channels).values(channel_id=channel, title=channel).on_conflict_do_nothing())
            connection.execute(insert(videos), row)
            connection.execute(insert(thumbnails), picture)
            connection.execute(insert(embeddings), vector)
        self.observe(video_id, *seen)

    def observe(self, video_id: str, *seen: Observation) -> None:
        rows = [
            {
                "video_id": video_id,
                "observed_at": PUBLISHED + timedelta(hours=age),
                "view_count": count,
                "era": era[0] if era else ERA,
            }
            for age, count, *era in seen
        ]
        if rows:
            self.do(insert(video_stats).values(rows))

    def do(self, statement: Executable) -> None:
        with self.lab.engine.begin() as connection:
            connection.execute(statement)

    def rows(self, sql: str) -> list[Row[Any]]:
        with self.lab.engine.connect() as connection:
            return list(connection.execute(text(sql)))
