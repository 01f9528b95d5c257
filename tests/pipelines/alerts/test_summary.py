"""Tests of the daily summary of a real lab, and of the summary while the database is down."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from alert_sinks import chat
from click.testing import CliRunner
from pydantic import SecretStr
from sqlalchemy import insert

from thumblab_cli.main import cli
from thumblab_core.data_folder import EMULATOR_PORT
from thumblab_core.database.tables import channels, videos
from thumblab_core.monitoring.watch_state import CheckState, EndedRun, WatchState, changing_state, read_state
from thumblab_core.releases.release import INDEX
from thumblab_core.releases.release_store import ReleaseStore
from thumblab_core.settings import Settings, settings
from thumblab_pipelines.alerts.summary import summarise
from thumblab_pipelines.alerts.summary_text import summary_lines, summary_message
from thumblab_pipelines.defs.alerts.daily_summary import daily_summary, send_summary
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.lab import Lab

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def state_of_a_day() -> WatchState:
    def run(job: str, niche: str | None, hours_ago: int, error: str | None = None) -> EndedRun:
        return EndedRun(run_id=f"{job}{hours_ago}", job=job, niche=niche, ended_at=NOW - hours_ago * HOUR, error=error)

    promoted = CheckState(
        asset="served_model",
        check="promoted",
        niche=None,
        level="warning",
        at=NOW - HOUR,
        explanation="worse than the champion by 0.03",
    )
    runs = [
        run("refresh_library", "tech", 30),
        run("refresh_library", "tech", 9, "The database does not answer"),
        run("refresh_library", "tech", 8),
        run("train_ranker", None, 7),
    ]
    return WatchState(checked_at=NOW, ended=runs, checks={"1": promoted})


def test_the_summary_has_the_refreshes_the_new_videos_and_why_a_model_was_refused(
    emptied_lab: Callable[..., Lab],
) -> None:
    lab = emptied_lab(videos, channels)
    with lab.engine.begin() as connection:
        connection.execute(insert(channels), [{"channel_id": "c", "title": "C"}])
        facts = {"niche": "tech", "channel_id": "c", "title": "t", "tags": [], "source": "youtube"}
        for name, moment in (("new", NOW - HOUR), ("old", NOW - 30 * HOUR)):
            dates = dict.fromkeys(("published_at", "refreshed_at", "collected_at"), moment)
            connection.execute(insert(videos), [{"video_id": name, **facts, **dates}])
    summary = summarise(lab.settings, state_of_a_day(), NOW)
    lines = summary_lines(summary)
    assert "tech: 1 refreshed, 1 failed, 1 new videos; no index served" in lines
    assert "Failed run: refresh_library of tech: The database does not answer" in lines
    assert (
        "Model: no model served; 1 trainings succeeded, 0 failed; not promoted: worse than the champion by 0.03"
        in lines
    )
    assert "Check: served_model.promoted: worse than the champion by 0.03" in lines
    assert any(line.startswith("YouTube's quota used today: 0 of 10,000 units") for line in lines)
    assert summary.demo is False
    (lab.settings.data_dir / EMULATOR_PORT).write_text("8095")
    of_demo = summary_lines(summarise(lab.settings, state_of_a_day(), NOW))
    (lab.settings.data_dir / EMULATOR_PORT).unlink()
    assert "tech: 1 refreshed, 1 failed; no index served" in of_demo
    assert any("the clock of its emulator stands still" in line for line in of_demo)
    assert summary_message(summary, "http://d").title == "Daily summary: 2 runs succeeded, 1 failed, 0 open alerts"


def test_the_summary_names_a_held_index_and_how_the_hold_ends(tmp_path: Path) -> None:
    chosen = Settings(_env_file=None, data_dir=tmp_path, database_url=SecretStr("postgresql://nobody@127.0.0.1:1/none"))
    store = ReleaseStore(tmp_path / "releases")
    release = store.publish(INDEX, "tech", lambda folder: (folder / "a").write_text("a") and None, {})
    store.serving.promote(release)
    assert not any(line.startswith("Held") for line in summary_lines(summarise(chosen, None, NOW)))
    store.serving.hold(release, "rolled back from b to a")
    [line] = [line for line in summary_lines(summarise(chosen, None, NOW)) if line.startswith("Held")]
    assert line.startswith(
        "Held: the index of tech is held, so no newer index is served: rolled back from b to a, since"
    )
    assert line.endswith("; `thumblab index resume tech` ends the hold")


@pytest.fixture
def without_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of a lab whose database does not answer. The environment variables choose this lab."""
    monkeypatch.setenv("THUMBLAB_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("THUMBLAB_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    settings.cache_clear()
    return tmp_path


@pytest.mark.usefixtures("without_database")
def test_the_command_prints_the_known_facts_while_the_database_is_down() -> None:
    done = CliRunner().invoke(cli, ["summary"])
    assert done.exit_code == 0, done.output
    assert "Nobody watches the runs now" in done.output
    assert "The database did not answer: The database does not answer" in done.output
    answer = json.loads(CliRunner().invoke(cli, ["summary", "--json"]).output)
    assert answer["watched"] is False
    assert [day["new_videos"] for day in answer["niches"]] == [None] * 7


def test_dagster_hands_the_summary_to_the_sensor_only_if_there_is_a_channel(
    without_database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(daily_summary(), dg.SkipReason)
    with chat() as taken:
        monkeypatch.setenv("THUMBLAB_ALERT_WEBHOOK_URL", taken.url)
        settings.cache_clear()
        assert isinstance(daily_summary(), dg.RunRequest)
        assert send_summary.execute_in_process(resources={"lab": LabResource()}).success
    state = read_state(without_database)
    assert state is not None
    (delivery,) = state.deliveries
    assert (delivery.channel, delivery.message.title) == ("webhook", "Daily summary: 0 runs succeeded, 0 open alerts")
    with changing_state(without_database) as state:
        assert len(state.deliveries) == 1
