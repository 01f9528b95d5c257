"""A fixture that empties the lab of a test module: it deletes all predictions, experiments, videos and channels."""

from collections.abc import Callable

import pytest

from thumblab_core.database.tables import channels, experiments, predictions, videos
from thumblab_pipelines.lab import Lab


@pytest.fixture
def lab(emptied_lab: Callable[..., Lab]) -> Lab:
    return emptied_lab(predictions, experiments, videos, channels)
