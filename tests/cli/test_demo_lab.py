"""Tests of the demo's lab: its quota, its MLflow server, its settings and its checks."""

import os
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
from pydantic import SecretStr

from thumblab_cli.demo.lab import demo_lab
from thumblab_cli.demo.one_demo import only_demo
from thumblab_cli.demo.runs import _raise_on_failure
from thumblab_cli.which_lab import demo_settings
from thumblab_core.errors import LabError
from thumblab_core.library_note import DRAWN, read_note
from thumblab_core.niches import DEFAULT_NAMES
from thumblab_core.running import Running, announced
from thumblab_core.settings import Settings, settings
from thumblab_pipelines.backup.contents import unknown_files


@pytest.mark.slow
def test_the_quota_allows_fifty_demos_a_day(migrated_database: Callable[[], str]) -> None:
    from thumblab_pipelines.collection.refresh import collect
    from thumblab_pipelines.lab import Lab

    with demo_lab(None) as demo:
        lab = Lab.open(demo.settings.model_copy(update={"database_url": SecretStr(migrated_database())}))
        collected = [collect(lab, niche) for niche in DEFAULT_NAMES]
        lab.engine.dispose()
    assert sum(result.new_videos for result in collected) == len(demo.catalogue.videos)
    spent = demo.emulator.quota.spent
    assert spent["searches"] > 0
    balances = collected[-1].quota.balances
    for balance in balances:
        assert balance.spent == spent[balance.bucket]
        assert balance.limit > 50 * balance.spent, balance.bucket


@pytest.fixture
def small_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("THUMBLAB_DEMO_VIDEOS", "60")
    settings.cache_clear()


def test_a_demo_uses_the_mlflow_that_up_runs_so_that_links_stay_valid(small_catalogue: None) -> None:
    with demo_lab(None, 5_123) as alone:
        assert (alone.mlflow_port, alone.settings.mlflow_url) == (5_123, "http://127.0.0.1:5123")
    with announced(alone.data_dir, Running("http://d", "http://127.0.0.1:5123", "http://s")), demo_lab(None) as beside:
        assert (beside.mlflow_port, beside.settings.mlflow_url) == (None, "http://127.0.0.1:5123")
    assert demo_settings(None).data_dir == alone.data_dir
    assert read_note(alone.data_dir) == DRAWN


def test_a_backup_knows_every_file_of_a_demo_that_runs_beside_up(small_catalogue: None) -> None:
    servers = Running("http://d", "http://m", "http://s")
    with demo_lab(None) as demo, only_demo(demo.data_dir), announced(demo.data_dir, servers):
        (demo.data_dir / "winners.html").touch()
        names = {path.name for path in demo.data_dir.iterdir()}
        assert {"running.heartbeat", "emulator-port", "demo.lock"} <= names
        assert unknown_files(demo.data_dir) == []


def test_child_processes_get_every_setting_of_the_demo_and_this_process_keeps_its_own(
    small_catalogue: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, before = settings(), dict(os.environ)
    with demo_lab(None) as demo:
        assert dict(os.environ) == before
        assert settings() is own
        with monkeypatch.context() as child:
            for name, value in demo.environment.items():
                child.setenv(name, value)
            assert Settings() == demo.settings


def run_with_failed_check(severity: dg.AssetCheckSeverity) -> dg.ExecuteInProcessResult:
    @dg.asset(check_specs=[dg.AssetCheckSpec("steady", asset="map")])
    def map() -> dg.MaterializeResult:
        failed = dg.AssetCheckResult(passed=False, severity=severity, description="it moved")
        return dg.MaterializeResult(check_results=[failed])

    return dg.materialize([map], raise_on_error=False)


def test_a_failed_check_stops_the_demo_and_is_named() -> None:
    with pytest.raises(LabError, match=r"map_library stopped because a check failed: map: steady \(it moved\)"):
        _raise_on_failure(run_with_failed_check(dg.AssetCheckSeverity.ERROR), "map_library")


def test_a_check_that_only_warns_does_not_stop_the_demo() -> None:
    _raise_on_failure(run_with_failed_check(dg.AssetCheckSeverity.WARN), "map_library")
