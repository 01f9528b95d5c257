import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from library_helpers import NICHE, OTHER, serve_index
from pydantic import SecretStr

from thumblab_pipelines.lab import Lab


@pytest.fixture(scope="module")
def prepared(
    small: Any, open_lab: Callable[..., Lab], copied_database: Callable[[str], str], tmp_path_factory: Any
) -> Lab:
    """A lab with two niches. The videos of both niches are encoded, and their indexes are built and served."""
    small.lab.engine.dispose()
    folder = tmp_path_factory.mktemp("prepared")
    url = copied_database(small.lab.engine.url.render_as_string(hide_password=False))
    lab = open_lab(data_dir=folder, database_url=SecretStr(url))
    lab = open_lab(beside=lab, data_dir=folder)
    shutil.copytree(small.lab.settings.images, lab.settings.images, dirs_exist_ok=True)
    for niche in (NICHE, OTHER):
        serve_index(lab, niche)
    return lab


@pytest.fixture
def lab(prepared: Lab, open_lab: Callable[..., Lab], copied_database: Callable[[str], str], tmp_path: Path) -> Lab:
    """A copy of the lab `prepared`, for one test."""
    prepared.engine.dispose()
    url = copied_database(prepared.engine.url.render_as_string(hide_password=False))
    folder = Path(shutil.copytree(prepared.settings.data_dir, tmp_path / "lab"))
    return open_lab(data_dir=folder, database_url=SecretStr(url))
