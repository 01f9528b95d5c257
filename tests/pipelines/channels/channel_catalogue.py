"""Write a catalogue of two channels for the tests of channel adapters.

On the channel `TASTE`, videos with blue thumbnails get more views than videos with red thumbnails. The channel `FEW`
has too few videos for an adapter.
"""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from thumblab_pipelines.videos.names import channel_id_of

TASTE, FEW = "The Blue Channel", "Three Videos"
TASTE_ID, FEW_ID = channel_id_of(TASTE), channel_id_of(FEW)
TINTS = {"blue": (20, 60, 230), "red": (230, 60, 20)}


def picture(draw: Callable[..., bytes], seed: int, tint: str) -> bytes:
    """Return a drawn picture with a blue or a red tint, as JPEG."""
    drawn = Image.open(io.BytesIO(draw(seed))).convert("RGB")
    out = io.BytesIO()
    Image.blend(drawn, Image.new("RGB", drawn.size, TINTS[tint]), 0.55).save(out, "JPEG")
    return out.getvalue()


def write_catalogue(folder: Path, draw: Callable[..., bytes]) -> None:
    """Write 61 videos of the channel `TASTE` and three videos of the channel `FEW` to `folder`.

    One of the 61 videos lasts only 30 s, so it may be a Short.
    """
    random = np.random.default_rng(0)
    start = datetime(2026, 6, 1, tzinfo=UTC)
    rows: list[dict[str, Any]] = []
    for n, channel in enumerate([TASTE] * 61 + [FEW] * 3):
        tint = "blue" if random.random() < 0.5 else "red"
        (folder / f"{n}.jpg").write_bytes(picture(draw, n, tint))
        views = 10_000 * np.exp((1.2 if tint == "blue" else 0.0) + 0.3 * random.standard_normal())
        rows.append(
            {
                "video_id": f"video{n:06d}",
                "niche": "tech",
                "channel": channel,
                "title": f"Episode {n}",
                "views": int(views),
                "published_on": (start + timedelta(days=n)).date().isoformat(),
                "observed_at": "2026-11-01",
                "duration_s": 30 if n == 7 else 600,
                "image": f"{n}.jpg",
            }
        )
    with (folder / "videos.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
