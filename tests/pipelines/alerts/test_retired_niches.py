"""Tests of the alerts and figures of niches that are retired. The Dagster instance is real."""

import json
from collections.abc import Iterable
from datetime import timedelta

from watched_runs import MINUTE, Watch, refresh_library

from thumblab_core.monitoring.watch_state import changing_state


def keep_niches(watch: Watch, niches: Iterable[str]) -> None:
    """Write only `niches` to the lab's file of niches, as if a person had retired all other niches."""
    (watch.folder / "niches.json").write_text(json.dumps({"niches": list(niches)}))


def test_the_alert_of_a_late_niche_is_closed_when_the_niche_is_retired(watch: Watch) -> None:
    watch.run(refresh_library, "news")
    watch.look()
    with changing_state(watch.folder) as state:
        state.refreshed["news"] = watch.now - timedelta(hours=40)
    for _ in range(10):
        watch.look(9 * MINUTE)
    assert set(watch.state.alerts) == {"late"}
    keep_niches(watch, ["tech"])
    (told,) = watch.look()
    assert told.startswith("*Not expected any more: the refresh of news is late*")
    assert "The niche was retired: " in told
    assert watch.state.alerts == {}


def test_the_alerts_of_failed_runs_and_checks_of_a_retired_niche_are_closed_and_those_of_others_stay(
    watch: Watch,
) -> None:
    for niche in ("news", "tech"):
        watch.run(refresh_library, niche, passed=False)
        watch.run(refresh_library, niche, "boom")
    assert len(watch.look(5 * MINUTE)) == 2
    keep_niches(watch, ["tech"])
    assert watch.look() == []  # The alerts stay open, because they also concern the other niche.
    things = {thing for alert in watch.state.alerts.values() for thing in alert.things}
    assert things == {"the check intact of faiss_index of tech", "refresh_library of tech"}
    keep_niches(watch, ["gaming"])
    told = sorted(text.splitlines()[0] for text in watch.look())
    assert told == [
        "*Not expected any more: refresh_library of tech failed*",
        "*Not expected any more: the check intact of faiss_index of tech failed*",
    ]
    assert watch.state.alerts == {}


def test_no_niche_counts_as_retired_while_the_file_of_the_niches_is_damaged(watch: Watch) -> None:
    keep_niches(watch, ["stonework"])
    watch.run(refresh_library, "stonework", passed=False)
    watch.run(refresh_library, "stonework", "boom")
    watch.look(5 * MINUTE)
    before = watch.state
    assert set(before.refreshed) == {"stonework"}
    (watch.folder / "niches.json").write_text('{"niches": ["stonew')
    assert watch.look() == []
    assert (set(watch.state.refreshed), set(watch.state.alerts)) == ({"stonework"}, set(before.alerts))


def test_the_figures_of_a_retired_niche_are_dropped_and_come_back_with_its_next_refresh(watch: Watch) -> None:
    for niche in ("news", "tech"):
        watch.run(refresh_library, niche)
    watch.look()
    assert set(watch.state.refreshed) == {"news", "tech"}
    keep_niches(watch, ["tech"])
    watch.look()
    assert set(watch.state.refreshed) == {"tech"}
    assert {check.niche for check in watch.state.checks.values()} == {"tech"}
    keep_niches(watch, ["tech", "news"])
    watch.look()
    assert set(watch.state.refreshed) == {"tech"}
    watch.run(refresh_library, "news")
    watch.look()
    assert set(watch.state.refreshed) == {"news", "tech"}
