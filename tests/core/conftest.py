"""What several tests of the core share."""

import pytest
from tiny_clip import TinyClip, tiny_clip


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyClip:
    return tiny_clip(tmp_path_factory.mktemp("tiny-clip"))
