"""Write a catalogue in which the views of a video depend on its topic and on the colours of its picture.

The effects of the topic and of the colours can differ from channel to channel.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

COLUMNS = ("video_id", "niche", "channel", "title", "views", "published_on", "observed_at", "duration_s", "image")
RED, FOOD = (6.0, 0.0, -6.0, 0.0), (0.0, 0.0, 0.0, 2.0)
"""Two values of `tastes` in `plant`. With `RED`, red pictures get more views than blue pictures. With `FOOD`, videos
about cooking get more views than other videos.
"""


def plant(
    folder: Path, drawn: Callable[..., bytes], tastes: Mapping[str, Sequence[float]], videos: int, seed: int = 0
) -> list[str]:
    """Write `videos.csv` and the pictures into the folder, and return the ids of the videos.

    `tastes` maps each channel to four numbers: the effects of red, green, blue and cooking on the logarithm of the
    views. Each channel has `videos` videos, published a day apart. The topic of each video is chosen at random: cooking
    or mountains, each with a probability of one half. The same seed gives the same videos.
    """
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[Sequence[object]] = []
    for channel, taste in tastes.items():
        for number in range(videos):
            video_id = f"s{seed}-{channel}-{number}"
            data = drawn(int(random.integers(2**31)), size=(160, 90))
            (folder / f"{video_id}.jpg").write_bytes(data)
            colour = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.float64).mean(axis=(0, 1)) / 255 - 0.5
            cooking = random.random() < 0.5
            title = f"Cooking a soup at home, part {number}" if cooking else f"Alone on the mountain, day {number}"
            quality = np.append(colour, cooking - 0.5) @ np.asarray(taste)
            views = int(50_000 * np.exp(quality + 0.4 * random.standard_normal()))
            day = date(2026, 1, 1) + timedelta(days=number)
            rows.append((video_id, "tech", channel, title, views, day, "2026-09-01", 600, f"{video_id}.jpg"))
    with (folder / "videos.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    return [str(row[0]) for row in rows]
