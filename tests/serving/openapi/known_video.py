"""Store the one video that the tested service knows, so that a niche can be proposed from it."""

from datetime import UTC, datetime

import numpy as np
from sqlalchemy import create_engine, insert

from thumblab_core.database.tables import channels, embeddings, videos

CHANNEL = "UCBJycsmduvYEL83R_U4JriQ"
VIDEO = "known-video"
"""The id of the video. No example in the OpenAPI document has this id, because some requests need a video with a vector
of its picture, and this video has none.
"""


def store_video(database_url: str, encoder: str) -> None:
    """Store the video with a title vector. `encoder`: the fingerprint of the title encoder."""
    now = datetime(2026, 11, 1, tzinfo=UTC)
    facts = {"niche": "tech", "published_at": now, "refreshed_at": now, "tags": [], "source": "youtube"}
    vector = {"encoder": encoder, "source_digest": "0" * 64, "vector": np.eye(384, dtype=np.float32)[0]}
    engine = create_engine(database_url)
    with engine.begin() as connection:
        connection.execute(insert(channels).values(channel_id=CHANNEL, title="A channel"))
        connection.execute(insert(videos).values(video_id=VIDEO, channel_id=CHANNEL, title="A video", **facts))
        connection.execute(insert(embeddings).values(video_id=VIDEO, **vector))
    engine.dispose()
