"""A helper that adds one-video pairs to the dataset of a test. The better picture of each pair is known."""

import dataclasses
from typing import Any

import numpy as np
import pandas as pd

from thumblab_core.encoders.protocol import unit
from thumblab_core.ranking.skill import EXPERIMENT
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.one_video import OneVideoPairs, with_parts

DAY = pd.Timestamp("2026-06-01")


def with_pairs(data: Dataset, count: int, noise: float = 0.0, **columns: Any) -> Dataset:
    """Return a copy of `data` that has `count` one-video pairs for each channel, one on each day from `DAY` on.

    The column `gap` has the quality of the first picture of a pair minus the quality of the second. In the datasets of
    the fixture `plant`, the quality of a picture is 4 times the first number of its vector. Noise with the standard
    deviation `noise` is added to each gap. `columns` replaces or adds columns of the table of pairs.
    """
    random = np.random.default_rng(3)
    channels = np.repeat(data.videos.channel_id.unique(), count)
    k = len(channels)
    images = unit(random.standard_normal((2 * k, 16))).reshape(k, 2, 16).astype(np.float32)
    titles = np.repeat(data.titles[random.integers(len(data.titles), size=(k, 1))], 2, axis=1)
    video = [random.choice(data.videos.video_id[data.videos.channel_id == channel]) for channel in channels]
    gap = 4 * (images[:, 0, 0] - images[:, 1, 0]) + noise * random.standard_normal(k)
    pairs = pd.DataFrame(
        {
            "pair_id": [f"p{n}" for n in range(k)],
            "channel_id": channels,
            "video_id": video,
            "source": EXPERIMENT,
            "happened_on": DAY + pd.to_timedelta(np.tile(np.arange(count), k // count), unit="D"),
            "title_a": "A title",
            "title_b": "A title",
            "gap": gap.astype(float),
            "variance": 0.01,
            "decided": True,
            "sha256_a": [f"a{n}" for n in range(k)],
            "sha256_b": [f"b{n}" for n in range(k)],
            "words_a": None,
            "words_b": None,
            **columns,
        }
    )
    return dataclasses.replace(data, one_video=OneVideoPairs(with_parts(pairs, data.videos), images, titles))
