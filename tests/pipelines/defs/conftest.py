"""Fixtures with Dagster and a new lab."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from dagster import DagsterInstance

from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.settings import settings
from thumblab_pipelines.dagster_partitions import add_partitions
from thumblab_pipelines.dagster_storage import open_instance

CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture
def dagster_home(new_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of a new lab, which is also Dagster's home. The folder has the `dagster.yaml` of the checkout."""
    shutil.copy(CHECKOUT / "dagster.yaml", tmp_path)
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", new_database())
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    settings.cache_clear()
    return tmp_path


@pytest.fixture
def instance(new_database: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DagsterInstance:
    """Return the Dagster instance of a new lab. The instance uses the lab's storage.

    No states of schedules or sensors are stored.
    """
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", new_database())
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    settings.cache_clear()
    (tmp_path / "dagster.yaml").write_text("")
    instance = open_instance(tmp_path, tmp_path)
    # All tests of a process share Dagster's database, so delete what earlier tests stored.
    instance.wipe_all_schedules()
    add_partitions(instance, DEFAULT_NAMES)
    return instance
