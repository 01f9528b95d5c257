"""A fixture with a lab that has no predictions, experiments or videos."""

from collections.abc import Callable

import pytest

from thumblab_core.database.tables import channels, experiments, predictions, videos
from thumblab_pipelines.lab import Lab


@pytest.fixture
def lab(emptied_lab: Callable[..., Lab]) -> Lab:
    return emptied_lab(predictions, experiments, videos, channels)
