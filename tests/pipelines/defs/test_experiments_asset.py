"""Test the figures, the preview and the checks of the Dagster asset `experiments`."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from thumblab_core.experiments.records import GivenExperiment, GivenVariant
from thumblab_core.settings import settings
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.experiments.add import ExperimentWriter
from thumblab_pipelines.lab import Lab


@pytest.fixture(scope="module")
def lab(open_lab: Callable[..., Lab]) -> Lab:
    return open_lab()


@pytest.fixture
def materialize(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Callable[[], dg.ExecuteInProcessResult]:
    """A function that materializes the asset `experiments` as Dagster's UI does."""

    def run() -> dg.ExecuteInProcessResult:
        assert lab.settings.database_url is not None
        monkeypatch.setenv("THUMBLAB_DATA_DIR", str(lab.settings.data_dir))
        monkeypatch.setenv("THUMBLAB_DATABASE_URL", lab.settings.database_url.get_secret_value())
        settings.cache_clear()
        loaded = defs()
        job = loaded.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(asset_selection=[dg.AssetKey("experiments")], raise_on_error=False)

    return run


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, object]:
    (event,) = result.get_asset_materialization_events()
    return {name: getattr(value, "value", None) for name, value in event.materialization.metadata.items()}


def test_the_asset_reports_counts_a_preview_and_checks(
    lab: Lab, materialize: Callable[[], dg.ExecuteInProcessResult], tmp_path: Path, drawn: Callable[..., bytes]
) -> None:
    empty = materialize()
    assert (empty.success, metadata(empty)["dagster/row_count"]) == (True, 0)
    variants = []
    for seed, share in ((1, 60.0), (2, 40.0)):
        path = tmp_path / f"{seed}.jpg"
        path.write_bytes(drawn(seed))
        variants.append(GivenVariant(path, share=share))
    writer, channel = ExperimentWriter(lab), "UC" + "a" * 22
    writer.add(GivenExperiment(channel, "video_aaaaa", date(2026, 11, 1), "winner", variants))
    titles = [GivenVariant(title=title) for title in ("One", "Two", "Three")]
    added = writer.add(GivenExperiment(channel, "video_bbbbb", date(2026, 11, 2), "inconclusive", titles))
    result = materialize()
    figures = metadata(result)
    assert result.success
    assert {name: figures[name] for name in ("dagster/row_count", "channels", "videos", "winner", "inconclusive")} == {
        "dagster/row_count": 2,
        "channels": 1,
        "videos": 2,
        "winner": 1,
        "inconclusive": 1,
    }
    assert (figures["performed_the_same"], figures["variants"], figures["variants_with_share"]) == (0, 5, 2)
    assert f"| {added.experiment_id} |" in str(figures["preview"])
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert set(checks) == {"pictures", "consistent"}
    assert all(check.passed for check in checks.values())

    for path in lab.images.root.glob("??/*"):
        path.unlink()
    failed = {check.check_name: check for check in materialize().get_asset_check_evaluations()}
    assert (failed["pictures"].passed, failed["pictures"].blocking) == (False, True)
    assert "lack pictures in the image store" in str(failed["pictures"].description)
    assert failed["consistent"].passed


def test_each_check_of_the_asset_is_described() -> None:
    graph = defs().resolve_asset_graph()
    keys = [key for key in graph.asset_check_keys if key.asset_key == dg.AssetKey("experiments")]
    assert {key.name: bool(graph.get_check_spec(key).description) for key in keys} == {
        "pictures": True,
        "consistent": True,
    }
