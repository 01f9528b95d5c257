"""Fixtures for the tests of commands. The fixtures make a lab in which red thumbnails win, and an empty lab."""

from collections.abc import Callable
from typing import Any

import pytest
from planted_catalogue import RED, plant
from pydantic import SecretStr


@pytest.fixture(scope="session")
def lab_with_pairs(
    tmp_path_factory: pytest.TempPathFactory, migrated_database: Callable[[], str], open_lab: Any, drawn: Any
) -> Callable[..., tuple[Any, dict[str, str]]]:
    """A function that makes a lab with training pairs and no model. In this lab, redder thumbnails get more views.

    The function returns the lab, and the environment variables with which a command opens this lab. If a test passes
    further settings, the environment variables contain these settings too.
    """
    from thumblab_pipelines.collection.catalogue import import_catalogue
    from thumblab_pipelines.dataset.pairs import build_pairs
    from thumblab_pipelines.features.embed import embed

    def make(channels: int, videos: int, **chosen: str) -> tuple[Any, dict[str, str]]:
        folder, url = tmp_path_factory.mktemp("lab"), migrated_database()
        lab = open_lab(data_dir=folder, database_url=SecretStr(url), **chosen)
        plant(folder / "catalogue", drawn, {f"home {n}": RED for n in range(channels)}, videos)
        import_catalogue(lab, folder / "catalogue")
        embed(lab, "tech")
        build_pairs(lab)
        values = {"data_dir": str(folder), "database_url": url, **chosen}
        return lab, {f"THUMBLAB_{name.upper()}": value for name, value in values.items()} | {"COLUMNS": "200"}

    return make


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, migrated_database: Callable[[], str]) -> dict[str, str]:
    """The environment variables with which all commands of a test file open the same lab. The lab is empty at first."""
    return {
        "THUMBLAB_DATA_DIR": str(tmp_path_factory.mktemp("lab")),
        "THUMBLAB_DATABASE_URL": migrated_database(),
        "THUMBLAB_IMAGE_ENCODER": "builtin",
        "COLUMNS": "300",
    }
