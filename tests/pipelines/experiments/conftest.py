"""Fixtures with a lab without videos and experiments, and with pictures of variants."""

from collections.abc import Callable
from pathlib import Path

import pytest

from thumblab_core.database.tables import channels, experiments, video_reach, videos
from thumblab_pipelines.lab import Lab


@pytest.fixture
def lab(emptied_lab: Callable[..., Lab]) -> Lab:
    return emptied_lab(experiments, video_reach, videos, channels)


@pytest.fixture
def pictures(tmp_path: Path, drawn: Callable[..., bytes]) -> list[Path]:
    """Three pictures that look different: a.jpg, b.jpg and c.jpg."""
    paths = [tmp_path / f"{name}.jpg" for name in "abc"]
    for seed, path in enumerate(paths):
        path.write_bytes(drawn(seed))
    return paths
