"""Fixtures with a lab of a small imported catalogue, from which a model can be trained in seconds."""

from collections.abc import Callable
from pathlib import Path

import pytest
from planted_catalogue import RED, plant

from thumblab_pipelines.collection.catalogue import import_catalogue
from thumblab_pipelines.features.embed import embed
from thumblab_pipelines.lab import Lab


@pytest.fixture(scope="session")
def imported(
    open_lab: Callable[..., Lab], drawn: Callable[..., bytes], tmp_path_factory: pytest.TempPathFactory
) -> Lab:
    lab = open_lab(releases_kept=2)
    folder = tmp_path_factory.mktemp("catalogue")
    plant(folder, drawn, {f"channel {n}": RED for n in range(8)}, 32)
    import_catalogue(lab, folder)
    embed(lab, "tech")
    return lab


@pytest.fixture
def lab(imported: Lab, copied_database: Callable[[str], str], open_lab: Callable[..., Lab], tmp_path: Path) -> Lab:
    from pydantic import SecretStr

    imported.engine.dispose()  # PostgreSQL copies a database only while nobody is connected to it.
    assert imported.settings.database_url is not None
    database = SecretStr(copied_database(imported.settings.database_url.get_secret_value()))
    return open_lab(beside=imported, data_dir=tmp_path, database_url=database)
