"""Tests of the sensor that sends alerts about failed runs and failed checks. The Dagster instance is real.

The tests check which alerts are sent, and how often.
"""

import json
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from click.testing import CliRunner
from watched_runs import DAY, MINUTE, OUTAGE, Watch, refresh_library, train_ranker

from thumblab_cli.main import cli
from thumblab_core.monitoring import watch_state
from thumblab_core.monitoring.watch_state import changing_state
from thumblab_core.settings import settings
from thumblab_pipelines.defs.alerts.watch import alerts
from thumblab_pipelines.defs.resources import LabResource


def test_an_outage_that_fails_many_runs_makes_one_alert_with_the_count_and_one_message_at_its_end(watch: Watch) -> None:
    for niche in ("tech", "news", "gaming"):
        last = watch.run(refresh_library, niche, OUTAGE)
    watch.run(train_ranker, None, "The database ended the connection: it was stopped or restarted (server closed)")
    assert watch.look(timedelta(0)) == []  # The alert waits for more failures with the same cause.
    (told,) = watch.look(5 * MINUTE)
    assert told.startswith("*train_ranker failed (4 times)*\n`The database ended the connection")
    assert "Concerns: refresh_library of tech, refresh_library of news, refresh_library of gaming, train_ranker" in told
    assert "`thumblab doctor` says why it does not." in told
    assert last not in told
    assert watch.state.alerts["database"].count == 4
    assert "https://dagster.example.com/runs/" in told
    assert " in Hobart" in told
    for niche in ("tech", "news", "gaming"):
        watch.run(refresh_library, niche)
    assert watch.look() == []
    watch.run(train_ranker)
    (over,) = watch.look()
    assert over.startswith("*Recovered: train_ranker failed*")
    assert "after 4 failures" in over
    assert watch.look() == []


def test_a_lasting_failure_is_reported_again_on_the_next_day_and_not_before(watch: Watch) -> None:
    watch.run(refresh_library, "tech", "videos.csv line 12: views is -5; use a number of 0 or more")
    assert len(watch.look(5 * MINUTE)) == 1
    watch.run(refresh_library, "tech", "videos.csv line 99: views is -7; use a number of 0 or more")
    assert watch.look() == []
    # No run has failed since the alert, so no message is sent. The runs of a test cannot be a day apart, so the test
    # makes the alert a day older.
    with changing_state(watch.folder) as state:
        (alert,) = state.alerts.values()
        assert (alert.count, alert.told_count) == (2, 1)
        alert.told_at = watch.now - DAY
    (told,) = watch.look()
    assert told.startswith("*Still failing: refresh_library of tech failed*")
    assert watch.look(MINUTE) == []


def test_another_error_is_another_alert(watch: Watch) -> None:
    watch.run(refresh_library, "tech", "MLflow does not answer at http://127.0.0.1:5000; start it")
    watch.run(refresh_library, "news", "no room is left on the disk; make room, then run the same again")
    watch.run(refresh_library, "news", "Something strange happened")
    assert len(watch.look(5 * MINUTE)) == 3
    assert {cause.split("-")[0] for cause in watch.state.alerts} == {"mlflow", "disk", "error"}


def test_a_retried_run_counts_as_failed_only_after_the_last_attempt(watch: Watch) -> None:
    retried = {"dagster/retry_on_asset_or_op_failure": "true", "dagster/max_retries": "1"}
    first = watch.run(refresh_library, "tech", "boom", tags=retried)
    run = watch.instance.get_run_by_id(first)
    assert run is not None
    assert run.tags["dagster/will_retry"] == "true"
    assert watch.look(5 * MINUTE) == []
    assert watch.state.alerts == {}
    last = watch.run(refresh_library, "tech", "boom", tags={**retried, "dagster/max_retries": "0"})
    (told,) = watch.look(5 * MINUTE)
    assert last in told


def test_a_failed_check_makes_one_alert_and_not_a_second_one_for_its_run(watch: Watch) -> None:
    watch.run(refresh_library, "tech", passed=False)
    (told,) = watch.look(5 * MINUTE)
    assert told.startswith("*the check intact of faiss_index of tech failed*\n`a file is damaged`")
    (state,) = watch.state.checks.values()
    assert (state.asset, state.niche, state.level) == ("faiss_index", "tech", "error")
    watch.run(refresh_library, "news")
    assert watch.look() == []  # The check passed in a different niche, so the alert stays open.
    watch.run(refresh_library, "tech")
    assert watch.look()[0].startswith("*Recovered: the check intact of faiss_index of tech failed*")


def test_failures_before_the_watch_began_are_not_reported(tmp_path: Path, watch: Watch) -> None:
    watch.run(refresh_library, "tech", "boom")
    (tmp_path / watch_state.FILE).unlink()
    assert watch.look() == []
    assert watch.look(5 * MINUTE) == []


def test_a_chat_that_is_down_gets_the_alert_later_and_is_asked_with_growing_pauses(watch: Watch) -> None:
    watch.chat.status = 503
    watch.run(refresh_library, "tech", "boom")
    watch.look(5 * MINUTE)
    (delivery,) = watch.state.deliveries
    assert (delivery.attempts, delivery.problem) == (1, "the webhook answered 503 no_service")
    pauses = []
    for _ in range(8):
        (delivery,) = watch.state.deliveries
        pauses.append(round((delivery.next_at - watch.now) / MINUTE))
        watch.look(delivery.next_at - watch.now)
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]
    watch.chat.status = 200
    assert watch.look(MINUTE) == []  # The next attempt to send the message is not due yet.
    assert len(watch.look(60 * MINUTE)) == 1
    assert watch.state.deliveries == []


def test_no_secret_is_sent_or_logged(watch: Watch, caplog: pytest.LogCaptureFixture) -> None:
    watch.chat.status = 500
    watch.run(refresh_library, "tech", f"cannot ask with the password SecretOfTheLab at {watch.chat.url}")
    watch.look(5 * MINUTE)
    assert "cannot ask with the password *** at ***" in caplog.text
    own = [record.getMessage() for record in caplog.records if record.name.startswith("thumblab")]
    assert len(own) == 2
    assert "SecretOf" not in "".join(own)
    assert "SecretOf" not in (watch.folder / watch_state.FILE).read_text()


def test_a_failed_check_is_kept_reported_and_logged_without_secrets(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    explanation = f"the folder of SecretOfTheLab differs from {watch.chat.url}"
    watch.run(refresh_library, "tech", passed=False, explanation=explanation)
    (told,) = watch.look(5 * MINUTE)
    assert "the folder of *** differs from ***" in told
    (state,) = watch.state.checks.values()
    assert state.explanation == "the folder of *** differs from ***"
    own = [record.getMessage() for record in caplog.records if record.name.startswith("thumblab")]
    assert own
    assert "SecretOf" not in "".join([told, *own, (watch.folder / watch_state.FILE).read_text()])


def test_a_person_closes_an_alert_and_a_new_failure_opens_it_again(watch: Watch) -> None:
    def alert(*arguments: str) -> str:
        settings.cache_clear()
        return CliRunner().invoke(cli, ["alert", *arguments]).output

    assert alert("list") == "No alert is open\n"
    watch.run(refresh_library, "tech", OUTAGE)
    watch.look(5 * MINUTE)
    assert alert("list").startswith("database: refresh_library of tech failed: The database does not answer")
    assert json.loads(alert("list", "--json"))[0]["count"] == 1
    assert "no open alert has the cause 'disk'; the open alerts are: database" in alert("close", "disk")
    assert alert("close", "database") == "Closed: refresh_library of tech failed\n"
    assert alert("list") == "No alert is open\n"
    watch.run(refresh_library, "music", OUTAGE)
    watch.look(5 * MINUTE)
    assert json.loads(alert("close", "database", "--json"))["cause"] == "database"
    watch.run(refresh_library, "music")
    watch.run(refresh_library, "tech")
    assert watch.look() == []  # A person closed the alert, so the lab sends no message about its end.
    watch.run(refresh_library, "tech", OUTAGE)
    assert len(watch.look(5 * MINUTE)) == 1
    assert alert("list").startswith("database: ")


def test_a_full_disk_does_not_make_the_watch_forget_sent_alerts(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    watch.run(refresh_library, "tech", "no room is left on the disk; make room, then run the same again")
    with monkeypatch.context() as patch:
        patch.setattr(watch_state, "replace_private_file", full)
        assert len(watch.look(5 * MINUTE)) == 1
        assert watch.look() == []
    assert watch.look() == []
    assert "disk" in watch.state.alerts


def test_without_a_channel_the_log_says_once_that_alerts_go_only_to_the_log(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("THUMBLAB_ALERT_WEBHOOK_URL")
    settings.cache_clear()
    watch.run(refresh_library, "tech", "boom")
    watch.look(5 * MINUTE)
    watch.look()
    assert caplog.text.count("Alerts go to this log only") == 1
    assert caplog.text.count("refresh_library of tech failed | boom") == 1
    assert watch.state.deliveries == []


def test_a_late_niche_is_reported_once_after_an_hour(watch: Watch) -> None:
    watch.run(refresh_library, "tech")
    watch.look()
    with changing_state(watch.folder) as state:
        state.refreshed["tech"] = watch.now - timedelta(hours=40)
    assert watch.look() == []
    told = [text for _ in range(10) for text in watch.look(9 * MINUTE)]
    (text,) = told
    assert text.startswith("*the refresh of tech is late*\n`the last good refresh was 41 hours ago`")
    watch.run(refresh_library, "tech")
    assert watch.look()[0].startswith("*Recovered: the refresh of tech is late*")


def test_a_restored_niche_is_late_only_when_it_could_have_been_refreshed(watch: Watch) -> None:
    watch.run(refresh_library, "tech")
    watch.look()
    with changing_state(watch.folder) as state:
        state.refreshed["tech"] = watch.now - timedelta(days=60)

    def restored(ago: timedelta) -> None:
        moments = {"tech": (watch.now - ago).isoformat()}
        (watch.folder / "niches.json").write_text(json.dumps({"niches": ["tech"], "restored": moments}))

    restored(timedelta(hours=1))
    assert [text for _ in range(10) for text in watch.look(9 * MINUTE)] == []
    restored(timedelta(hours=40))
    (text,) = [text for _ in range(10) for text in watch.look(9 * MINUTE)]
    assert text.startswith("*the refresh of tech is late*")


def test_a_job_that_has_never_run_counts_from_zero_so_that_prometheus_sees_its_first_failure(watch: Watch) -> None:
    repository = dg.Definitions(jobs=[refresh_library, train_ranker], sensors=[alerts]).get_repository_def()
    context = dg.build_sensor_context(
        instance=watch.instance, repository_def=repository, resources={"lab": LabResource()}
    )
    with context:
        alerts.evaluate_tick(context)
    zeros = {f"{job}/{outcome}": 0 for job in repository.job_names for outcome in ("success", "failure")}
    assert watch.state.totals == zeros
    watch.run(train_ranker, None, "boom")
    watch.look()
    assert watch.state.totals == zeros | {"train_ranker/failure": 1}
