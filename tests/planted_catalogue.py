"""A catalogue on the disk whose views follow the colour of its pictures and what they are about, to each channel's taste."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

COLUMNS = ("video_id", "niche", "channel", "title", "views", "published_on", "observed_at", "duration_s", "image")
RED, FOOD = (6.0, 0.0, -6.0, 0.0), (0.0, 0.0, 0.0, 2.0)
"""Tastes of viewers who click on what is red and not blue, and of those who click on cooking."""


def plant(
    folder: Path, drawn: Callable[..., bytes], tastes: Mapping[str, Sequence[float]], videos: int, seed: int = 0
) -> list[str]:
    """Write it; returns the ids. `tastes`: what a channel's viewers make of red, green, blue, and of cooking, in log views.
    Half of the videos are about cooking, the others about mountains.

    The same seed has the same videos. A day lies between two of a channel.
    """
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Sequence[object]] = []
    for channel, taste in tastes.items():
        for number in range(videos):
            name = f"s{seed}-{channel}-{number}"
            data = drawn(int(random.integers(2**31)), size=(160, 90))
            (folder / f"{name}.jpg").write_bytes(data)
            colour = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float64).mean(axis=(0, 1)) / 255 - 0.5
            cooking = random.random() < 0.5
            title = f"Cooking a soup at home, part {number}" if cooking else f"Alone on the mountain, day {number}"
            quality = np.append(colour, cooking - 0.5) @ np.asarray(taste)
            views = int(50_000 * np.exp(quality + 0.4 * random.standard_normal()))
            day = date(2026, 1, 1) + timedelta(days=number)
            rows.append((name, "tech", channel, title, views, day, "2026-09-01", 600, f"{name}.jpg"))
    with (folder / "videos.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return [str(row[0]) for row in rows]
