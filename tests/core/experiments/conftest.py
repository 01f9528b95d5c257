"""A fixture that empties the lab of a test module: it deletes all channels, videos, impressions and experiments."""

from collections.abc import Callable

import pytest

from thumblab_core.database.tables import channels, experiments, video_reach, videos
from thumblab_pipelines.lab import Lab


@pytest.fixture(scope="module")
def module_lab(open_lab: Callable[..., Lab]) -> Lab:
    return open_lab()


@pytest.fixture
def lab(module_lab: Lab) -> Lab:
    with module_lab.engine.begin() as connection:
        for table in (experiments, video_reach, videos, channels):
            connection.execute(table.delete())
    return module_lab
