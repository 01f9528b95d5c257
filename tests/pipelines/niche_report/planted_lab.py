"""Store a niche in a lab. The winners of this niche have more text and shorter titles than other videos."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import Table, insert

from thumblab_core.database.tables import (
    channels,
    thumbnail_versions,
    thumbnails,
    video_stats,
    videos,
    visual_features,
)
from thumblab_pipelines.features.baselines import compute_baselines
from thumblab_pipelines.lab import Lab

NOW = datetime(2026, 11, 1, tzinfo=UTC)
VERSION = "meter"
HOSTILE = "<script>alert(1)</script> & \"quotes\" 'n' ‮ more"


def evidence(words: int, height: float) -> dict[str, object]:
    """Return the evidence that the meter stores for a picture with one line of text."""
    box = {"x": 0.1, "y": 0.2, "width": 0.5, "height": height}
    line = {"box": box, "text": "word " * words, "confidence": 0.9, "height_at_120": 10.0, "contrast": 5.0}
    return {
        "texts": [line] if words else [],
        "unread": [],
        "faces": None,
        "missing": [],
        "subject": None,
        "saliency": [[0.1]],
        "sharpness": 0.5,
        "luminance_contrast": 0.5,
        "colour_contrast": 0.5,
        "legibility": 1.0,
        "badge_overlap": 0.0,
        "title_match_by": None,
    }


def plant_niche(
    lab: Lab,
    drawn: Callable[..., bytes],
    count: int = 6,
    each: int = 80,
    effect: float = 1.2,
    seed: int = 0,
    title: str = "Video",
) -> list[str]:
    """Store `count` channels with `each` videos per channel in the niche `tech`, and return the ids of the videos.

    One standard deviation of the text's height adds `effect` to the logarithm of the views.
    """
    random = np.random.default_rng(seed)
    pictures = [lab.images.put(drawn(number)) for number in range(40)]
    rows: dict[Table, list[dict[str, Any]]] = {
        table: [] for table in (channels, videos, video_stats, thumbnails, thumbnail_versions, visual_features)
    }
    for channel in range(count):
        name = f"UC{channel}"
        rows[channels].append({"channel_id": name, "title": f"Channel {channel} <b>"})
        for number in range(each):
            standard = float(random.standard_normal())
            published = NOW - timedelta(days=100 + number % 90)
            views = int(np.exp(10 + channel + effect * standard + 0.5 * random.standard_normal()))
            of = {"video_id": f"v{channel}-{number}"}
            shown = of | {"sha256": pictures[int(random.integers(len(pictures)))]}
            called = {"title": f"{title} {number}"}
            facts = {"niche": "tech", "published_at": published, "duration_s": 600, "refreshed_at": NOW}
            rows[videos].append(of | called | facts | {"channel_id": name, "tags": [], "source": "catalogue"})
            rows[video_stats].append(of | {"observed_at": NOW, "view_count": views, "era": "any"})
            rows[thumbnails].append(shown | {"fetched_at": published, "checked_at": NOW})
            rows[thumbnail_versions].append(shown | called | {"first_seen": published, "last_seen": NOW})
            seen = evidence(words=3, height=float(np.clip(0.3 + 0.08 * standard, 0.01, 0.7)))
            measured = {"version": VERSION, "clarity": float(random.random()), "evidence": seen}
            rows[visual_features].append(shown | measured)
    with lab.engine.begin() as connection:
        for table, of_table in rows.items():
            connection.execute(insert(table), of_table)
    compute_baselines(lab, "tech")
    return [str(row["video_id"]) for row in rows[videos]]
