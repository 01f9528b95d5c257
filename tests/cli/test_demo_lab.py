"""Promises of the demo's own laboratory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from thumblab_cli.demo.lab import demo_lab
from thumblab_cli.which_lab import demo_settings
from thumblab_core.library_note import DRAWN, read_note
from thumblab_core.niches import NICHES
from thumblab_core.running import Running, announced
from thumblab_core.settings import settings


def test_the_demo_can_be_run_fifty_times_a_day(migrated_database: Callable[[], str], monkeypatch: Any) -> None:
    from thumblab_pipelines.collection.refresh import collect
    from thumblab_pipelines.lab import Lab

    with demo_lab(None) as demo:
        lab = Lab.open(settings().model_copy(update={"database_url": SecretStr(migrated_database())}))
        collected = [collect(lab, niche) for niche in NICHES]
        lab.engine.dispose()
    assert sum(done.new_videos for done in collected) == len(demo.catalogues.catalogue.videos)
    spent = demo.emulator.quota.spent
    assert spent["searches"] > 0
    balances = collected[-1].quota.balances
    for balance in balances:
        assert balance.spent == spent[balance.bucket]
        assert balance.limit > 50 * balance.spent, balance.bucket


def test_a_demo_beside_a_running_up_uses_its_mlflow_so_that_links_to_it_stay_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("THUMBLAB_DEMO_VIDEOS", "60")
    settings.cache_clear()
    with demo_lab(None, 5_123) as alone:
        assert (alone.mlflow_port, settings().mlflow_url) == (5_123, "http://127.0.0.1:5123")
    with announced(alone.data_dir, Running("http://d", "http://127.0.0.1:5123", "http://s")), demo_lab(None) as beside:
        assert (beside.mlflow_port, settings().mlflow_url) == (None, "http://127.0.0.1:5123")
    assert demo_settings(None).data_dir == alone.data_dir
    assert read_note(alone.data_dir) == DRAWN
