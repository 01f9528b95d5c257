"""Fill a database with libraries of niches, as if the lab had collected videos and encoded their pictures."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlalchemy import Engine, insert, text

from thumblab_core.database import nearest
from thumblab_core.database.nearest import Library
from thumblab_core.database.tables import channel_baselines, channels, thumbnails, video_stats, videos
from thumblab_core.database.vectors import save_vectors
from thumblab_core.encoders.protocol import Vectors, unit
from thumblab_core.index import Neighbour
from thumblab_pipelines.lab import Lab

CLIP = "clip-1"
"""The name of an image encoder."""
DAYS = 90
"""The value of the setting `library_days` in tests that search this library."""
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def clustered(count: int, dimension: int, seed: int = 0) -> Vectors:
    """Return unit vectors around random centres, float32 [count, dimension].

    There is one centre for every 50 vectors, and at least two.
    """
    random = np.random.default_rng(seed)
    centres = random.standard_normal((max(count // 50, 2), dimension))
    noise = random.standard_normal((count, dimension))
    return unit(centres[random.integers(0, len(centres), count)] + 0.6 * noise)


def video_ids_of(neighbours: Iterable[Neighbour]) -> set[str]:
    return {neighbour.item.video_id for neighbour in neighbours}


def search_library(
    lab: Lab, vectors: Vectors, k: int = 20, exact: bool = False, *, library: Library
) -> list[list[Neighbour]]:
    """Return the `k` videos of a library that are nearest to each of the vectors, as pgvector finds them."""
    with lab.engine.connect() as connection:
        return nearest.search(connection, library, vectors, k, exact)


def fill(engine: Engine, vectors: Vectors, encoder: str, niches: tuple[str, ...] = ("tech", "beauty")) -> None:
    """Add one video for each vector. Video number n belongs to the niche n modulo the number of niches.

    The first video is published 300 days before `NOW`, and each further video one hour after the previous video. After
    every 2,000 videos, the next video is again published 300 days before `NOW`. The latest observation of the last four
    videos is 100 days before `NOW`. The latest observation of all other videos is at `NOW`.

    One video in five belongs to the channel c1, which has no baseline. All other videos belong to the channel c0, and
    are winners in comparison with the baseline of c0.
    """
    count = len(vectors)
    names = [f"v{n:06d}" for n in range(count)]
    with engine.begin() as connection:
        connection.execute(insert(channels), [{"channel_id": c, "title": f"Channel {c}"} for c in ("c0", "c1")])
        connection.execute(
            insert(channel_baselines),
            [
                {
                    "niche": niche,
                    "channel_id": "c0",
                    "age_band": "all",
                    "video_count": 9,
                    "median_views": 1.0,
                    "median_views_per_hour": 60.0,
                }
                for niche in niches
            ],
        )
        connection.execute(
            insert(videos),
            [
                {
                    "video_id": name,
                    "niche": niches[n % len(niches)],
                    "channel_id": "c1" if n % 5 == 0 else "c0",
                    "title": f"Title {n} 'é",
                    "published_at": NOW - timedelta(days=300) + timedelta(hours=n % 2_000),
                    "collected_at": NOW,
                    "tags": [],
                    "thumbnail_urls": [f"https://i.ytimg.com/{name}.jpg"],
                    "source": "youtube",
                    "refreshed_at": NOW,
                }
                for n, name in enumerate(names)
            ],
        )
        connection.execute(
            insert(video_stats),
            [
                {"video_id": name, "observed_at": at, "view_count": 1_000 * (1_000 + n), "era": "e"}
                for n, name in enumerate(names)
                for at in ([NOW - timedelta(days=100)] if n >= count - 4 else [NOW - timedelta(days=120), NOW])
            ],
        )
        connection.execute(
            insert(thumbnails),
            [{"video_id": name, "sha256": f"{name:0>64}", "fetched_at": NOW, "checked_at": NOW} for name in names],
        )
        save_vectors(connection, encoder, [(name, f"{name:0>64}") for name in names], vectors)
        connection.execute(text("ANALYZE"))
