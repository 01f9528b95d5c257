from pathlib import Path

import pytest

from thumblab_core.releases.release_store import ReleaseStore


@pytest.fixture
def heads(tmp_path: Path) -> ReleaseStore:
    """A release store without releases."""
    return ReleaseStore(tmp_path / "releases")
