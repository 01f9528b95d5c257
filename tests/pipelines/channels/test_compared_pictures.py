"""Tests of fitting a channel adapter to compared pictures, which are pairs of pictures that one video showed."""

import numpy as np
import pandas as pd

from thumblab_core.ranking.adapters import Adapter, ComparedPictures
from thumblab_core.ranking.kernel import Kernel
from thumblab_pipelines.channels.adapter import ChannelData
from thumblab_pipelines.channels.compared import ChannelPictures

VIDEOS, DIMENSION = 10, 4


def test_an_adapter_does_not_learn_pictures_of_the_videos_that_it_is_evaluated_on() -> None:
    random = np.random.default_rng(0)
    first, second = (random.standard_normal((3, DIMENSION)).astype(np.float32) for _ in range(2))
    tested = ComparedPictures(first, second, np.zeros(3), np.array([0.5, -0.5, 0.2]), np.full(3, 0.01))
    days = pd.date_range("2026-06-01", periods=VIDEOS, tz="UTC")
    target = random.standard_normal(VIDEOS)
    data = ChannelData(
        pd.DataFrame({"video_id": [f"v{n}" for n in range(VIDEOS)], "published_at": days, "target": target}),
        random.standard_normal((VIDEOS, DIMENSION)).astype(np.float32),
        np.zeros(VIDEOS, np.float32),
        1.0,
        Kernel.without_linear_parts(DIMENSION),
        ChannelPictures(np.array(["v0", "v9", "a video that is no usable video"]), tested),
    )

    def fit(videos: int) -> Adapter:
        adapter = data.fit(np.arange(videos))
        assert adapter is not None
        assert adapter.videos == videos
        return adapter

    assert fit(VIDEOS).compared == 3
    older = fit(8)
    assert older.compared == 2
    np.testing.assert_array_equal(
        older.history.unpacked()[-4:], np.concatenate([first[[0, 2]], second[[0, 2]]]).astype(np.float16)
    )
