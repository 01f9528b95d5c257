"""Test that the sensor `alerts` loses no alert and sends no alert twice after a fault.

The fault is in the sensor's state file, the clock, the disk or Dagster's database.
"""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from click.testing import CliRunner, Result
from dagster import RunRecord, RunsFilter
from watched_runs import DAY, MINUTE, OUTAGE, Watch, refresh_library

from thumblab_cli.main import cli
from thumblab_core.errors import LabError
from thumblab_core.monitoring import watch_state
from thumblab_core.monitoring.watch_state import FILE, LOCK, changing_state
from thumblab_core.settings import settings
from thumblab_pipelines.defs.alerts import late

refused: set[str] = set()


@dg.op(config_schema={"files": [str]})
def add(context: dg.OpExecutionContext) -> None:
    if refused.intersection(context.op_config["files"]):
        raise ValueError("an export is damaged")


@dg.job
def add_channel() -> None:
    add()


def alert(*arguments: str) -> Result:
    settings.cache_clear()
    return CliRunner().invoke(cli, ["alert", *arguments])


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_failure_is_not_lost_if_the_look_that_reads_it_breaks_off(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object, **__: object) -> None:
        raise ConnectionError("the database of Dagster is down")

    watch.run(refresh_library, "tech", OUTAGE)
    with monkeypatch.context() as patch:
        patch.setattr(watch.instance, "get_records_for_run", down)
        with pytest.raises(ConnectionError):
            watch.look()
    (told,) = watch.look(5 * MINUTE)
    assert told.startswith("*refresh_library of tech failed*")
    assert watch.state.totals == {"refresh_library/failure": 1}


def test_sent_alerts_are_remembered_if_the_look_breaks_off_afterwards(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the size of the database must be a number")

    watch.run(refresh_library, "tech", OUTAGE)
    with monkeypatch.context() as patch:
        patch.setattr("thumblab_pipelines.defs.alerts.watch._measure", broken)
        with pytest.raises(RuntimeError):
            watch.look(5 * MINUTE)
    assert len(watch.chat.texts) == 1
    assert watch.look() == []


def test_a_clock_that_was_ahead_and_is_set_back_silences_nothing(watch: Watch) -> None:
    watch.chat.status = 503
    watch.run(refresh_library, "tech", OUTAGE)
    watch.look(5 * MINUTE)
    with changing_state(watch.folder) as state:
        state.read_to = state.checked_at = state.alerts["database"].told_at = watch.now + 30 * DAY
        state.late_since["the refresh of tech"] = state.deliveries[0].next_at = watch.now + 30 * DAY
    watch.chat.status, watch.now = 200, datetime.now(UTC)
    watch.run(refresh_library, "news", "boom")
    told = [*watch.look(timedelta(0)), *watch.look(60 * MINUTE)]
    assert [text.split("*")[1] for text in told] == ["refresh_library of tech failed", "refresh_library of news failed"]
    watch.run(refresh_library, "tech", OUTAGE)
    assert watch.look(DAY)[0].startswith("*Still failing: refresh_library of tech failed*")


def test_a_run_that_ended_while_the_clock_was_ahead_is_counted_once(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, ahead = watch.instance.get_run_records, dict[str, timedelta]()

    def found(filters: RunsFilter, **more: Any) -> list[RunRecord]:
        assert filters.updated_after is not None
        every = real(RunsFilter(statuses=filters.statuses), **more)
        moved = [run._replace(update_timestamp=run.update_timestamp + ahead[run.dagster_run.run_id]) for run in every]
        return [run for run in moved if run.update_timestamp > filters.updated_after]

    monkeypatch.setattr(watch.instance, "get_run_records", found)
    ahead[watch.run(refresh_library, "tech", OUTAGE)] = DAY
    watch.look(10 * MINUTE)
    watch.look(10 * MINUTE)
    ahead[watch.run(refresh_library, "news")] = 60 * MINUTE
    watch.look(60 * MINUTE)
    watch.look(10 * MINUTE)
    assert watch.state.totals == {"refresh_library/failure": 1, "refresh_library/success": 1}


def test_a_file_that_cannot_be_read_loses_nothing(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    watch.run(refresh_library, "tech", OUTAGE)
    assert len(watch.look(5 * MINUTE)) == 1
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", denied)
        with pytest.raises(LabError, match=r"monitoring\.json cannot be read \(Permission denied\)"):
            watch.look()
    assert watch.look() == []
    assert list(watch.state.alerts) == ["database"]


def test_a_file_of_another_format_is_replaced(watch: Watch) -> None:
    (watch.folder / FILE).write_text('{"alerts": 3}')
    watch.run(refresh_library, "tech", OUTAGE)
    watch.look()
    assert watch.state.checked_at == watch.now


def test_files_written_by_root_belong_to_the_owner_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(
        os, "fchown", lambda handle, *owner: given.append((str(Path(f"/proc/self/fd/{handle}").readlink()), owner))
    )
    with changing_state(tmp_path):
        pass
    owner = (tmp_path.stat().st_uid, tmp_path.stat().st_gid)
    assert given == [(str(tmp_path / LOCK), owner), (str(tmp_path / f".{FILE}.new"), owner)]


def test_a_command_does_not_say_closed_if_the_disk_is_full(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    watch.run(refresh_library, "tech", OUTAGE)
    watch.look()
    with monkeypatch.context() as patch:
        patch.setattr(watch_state, "replace_private_file", full)
        done = alert("close", "database")
    assert done.exit_code != 0
    assert "Closed" not in done.output
    assert "monitoring.json cannot be written (No space left on device)" in done.output
    assert alert("list").output.startswith("database: ")


def test_a_close_after_the_disk_has_room_again_is_not_overwritten(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.run(refresh_library, "tech", OUTAGE)
    watch.look()
    with monkeypatch.context() as patch:
        patch.setattr(watch_state, "replace_private_file", full)
        watch.look()
    # The sensor could not write its state to the full disk, so it keeps the state in the memory of its process. The
    # command `alert` runs in another process, which does not have this memory. The test therefore clears the kept state
    # while the command runs.
    kept = dict(watch_state._unwritten)
    watch_state._unwritten.clear()
    assert alert("close", "database").output.startswith("Closed: ")
    watch_state._unwritten.update(kept)
    watch.look(5 * MINUTE)
    assert watch.state.alerts == {}


def late_refresh(watch: Watch, *niches: str) -> None:
    for niche in niches:
        watch.run(refresh_library, niche)
    watch.look()
    with changing_state(watch.folder) as state:
        state.refreshed |= dict.fromkeys(niches, watch.now - timedelta(hours=40))


def looks(watch: Watch) -> list[str]:
    return [text for _ in range(10) for text in watch.look(9 * MINUTE)]


def test_a_late_refresh_that_a_person_closed_stays_closed_until_it_is_over(watch: Watch) -> None:
    late_refresh(watch, "tech")
    assert len(looks(watch)) == 1
    assert alert("close", "late").output == "Closed: the refresh of tech is late\n"
    assert looks(watch) == []
    assert watch.state.alerts == {}
    late_refresh(watch, "news")  # A failure in a different niche counts as a new failure.
    assert [text.split("*")[1] for text in looks(watch)] == ["the refresh of news is late"]
    watch.run(refresh_library, "tech")
    watch.run(refresh_library, "news")
    watch.look()
    assert watch.state.closed == []
    late_refresh(watch, "tech")
    assert len(looks(watch)) == 1


def test_a_late_refresh_with_a_schedule_turned_off_is_not_reported_as_succeeded(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    late_refresh(watch, "tech")
    assert len(looks(watch)) == 1
    monkeypatch.setattr(late, "_is_on", lambda *_: False)
    (told,) = looks(watch)
    assert told.startswith("*Not expected any more: the refresh of tech is late*")
    assert "succeeded" not in told
    assert watch.state.alerts == {}


def test_the_alert_of_a_failed_import_stays_open_when_the_import_of_another_person_succeeds(watch: Watch) -> None:
    def add_files(name: str) -> None:
        config = {"ops": {"add": {"config": {"files": [name]}}}}
        add_channel.execute_in_process(run_config=config, instance=watch.instance, raise_on_error=False)

    refused.add("a.zip")
    add_files("a.zip")
    assert watch.look(5 * MINUTE)[0].startswith("*add_channel failed*")
    add_files("b.zip")
    assert watch.look() == []
    assert len(watch.state.alerts) == 1
    refused.clear()
    add_files("a.zip")  # If a person repeats a run, Dagster starts a run with the same config.
    assert watch.look()[0].startswith("*Recovered: add_channel failed*")
