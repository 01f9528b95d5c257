from pathlib import Path

import pytest

from thumblab_core.releases.release_store import ReleaseStore


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(tmp_path / "releases")
