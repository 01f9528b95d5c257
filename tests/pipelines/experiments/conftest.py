"""A fixture that empties the lab of a test module: it deletes all channels, videos and experiments."""

from collections.abc import Callable

import pytest

from thumblab_core.database.tables import channels, experiments, video_reach, videos
from thumblab_pipelines.lab import Lab


@pytest.fixture
def lab(emptied_lab: Callable[..., Lab]) -> Lab:
    return emptied_lab(experiments, video_reach, videos, channels)
