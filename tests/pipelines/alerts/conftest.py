"""Fixtures for the tests of alerts."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alert_sinks import chat
from watched_runs import Watch

from thumblab_core.settings import settings


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    # The database of the lab is not available in these tests.
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", "postgresql://lab:SecretOfTheLab@127.0.0.1:1/none")
    monkeypatch.setenv("THUMBLAB_ALERT_DAGSTER_URL", "https://dagster.example.com/")
    with chat() as taken:
        monkeypatch.setenv("THUMBLAB_ALERT_WEBHOOK_URL", taken.url)
        settings.cache_clear()
        made = Watch(tmp_path, taken)
        yield made
        made.instance.dispose()
