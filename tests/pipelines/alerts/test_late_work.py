"""Tests of which refreshes and assets count as late, and of which figures the metrics show. The Dagster instance and the
releases are real."""

from datetime import timedelta

import dagster as dg
import pytest
from dagster._core.definitions.freshness import FreshnessState, FreshnessStateChange
from watched_runs import MINUTE, Watch, refresh_library

from thumblab_core.monitoring.watch_state import CheckState, changing_state
from thumblab_core.releases.release import INDEX
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_pipelines.definitions import defs
from thumblab_pipelines.defs.alerts import late
from thumblab_pipelines.defs.alerts.watch import _with_freshness_policy, alerts
from thumblab_pipelines.defs.resources import LabResource

PAIRS = dg.AssetKey("training_pairs")


def looks(watch: Watch) -> list[str]:
    return [text for _ in range(10) for text in watch.look(9 * MINUTE)]


def make_late(watch: Watch, asset: dg.AssetKey) -> None:
    """Store that an asset missed its freshness policy, as Dagster's daemon does."""
    change = FreshnessStateChange(
        key=asset,
        new_state=FreshnessState.FAIL,
        previous_state=FreshnessState.PASS,
        state_change_timestamp=watch.now.timestamp(),
    )
    watch.instance._report_runless_asset_event(change)


def test_an_asset_is_not_expected_after_a_person_turned_off_all_schedules_that_make_it(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.fresh = {PAIRS: ["weekly_training"]}
    make_late(watch, PAIRS)
    assert [text.split("*")[1] for text in looks(watch)] == ["the asset training_pairs is late"]
    monkeypatch.setattr(late, "_is_on", lambda _, schedule: schedule != "weekly_training")
    (told,) = looks(watch)
    assert told.startswith("*Not expected any more: the asset training_pairs is late*")
    assert "Its schedule was turned off" in told
    assert watch.state.alerts == {}
    watch.fresh = {PAIRS: ["weekly_training", "another"]}
    assert len(looks(watch)) == 1


def test_each_asset_with_a_freshness_policy_has_a_schedule_that_makes_it() -> None:
    schedules = _with_freshness_policy(defs().get_repository_def())
    assert schedules[PAIRS] == ["weekly_training"]
    assert schedules[dg.AssetKey("thumbnails")] == ["daily_refresh"]
    assert [key for key, names in schedules.items() if not names] == []


def test_a_served_index_counts_as_a_refresh_in_the_metrics_as_it_does_in_the_alerts(watch: Watch) -> None:
    watch.run(refresh_library, "tech")
    watch.look()
    with changing_state(watch.folder) as state:
        state.refreshed["tech"] = watch.now - timedelta(hours=40)
    served_at = watch.now - timedelta(hours=1)
    store = ReleaseStore(watch.folder / "releases")
    release = store.publish(
        INDEX, "tech", lambda folder: (folder / "a").write_text("a") and None, {"as_of": str(served_at)}
    )
    store.serving.promote(release)
    assert looks(watch) == []
    assert watch.state.refreshed["tech"] == served_at


def test_the_result_of_a_check_that_the_lab_no_longer_has_is_dropped(watch: Watch) -> None:
    def result(asset: str, check: str) -> CheckState:
        facts = {"niche": "tech", "level": "error", "at": watch.now, "explanation": "a file is damaged"}
        return CheckState(asset=asset, check=check, **facts)

    with changing_state(watch.folder) as state:
        state.checks = {"old": result("faiss_index", "renamed"), "present": result("faiss_index", "intact")}
    repository = defs().get_repository_def()
    context = dg.build_sensor_context(
        instance=watch.instance, repository_def=repository, resources={"lab": LabResource()}
    )
    with context:
        alerts.evaluate_tick(context)
    assert list(watch.state.checks) == ["present"]
