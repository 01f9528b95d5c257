"""Test that the failed runs of a running lab cause exactly one message in a chat, one e-mail and one alert of a real
Prometheus.
"""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from alert_sinks import chat, mail_server
from prometheus_server import PROGRAM, prometheus
from real_processes import REPOSITORY, RunningLab, free_ports, new_folder, running, wait_until

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1_200)]

NICHES = ("tech", "news", "gaming")
_LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
_STATUS = "query($filter: RunsFilter) { runsOrError(filter: $filter) { ... on Runs { results { status } } } }"


def fail(lab: RunningLab, niche: str) -> str:
    """Start a run that fails, because there is no index to roll back. Return the id of the run."""
    params: dict[str, Any] = {
        "selector": {**REPOSITORY, "jobName": "roll_back_index"},
        "runConfigData": {"ops": {"move_pointer": {"config": {}}}},
        "mode": "default",
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": niche}]},
    }
    launched = lab.graphql(_LAUNCH, params=params)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return str(launched["run"]["runId"])


def test_three_failed_runs_of_one_cause_make_one_message_in_the_chat_and_one_email(tmp_path: Path) -> None:
    with chat() as webhook, mail_server(free_ports(1)[0]) as mails, new_folder() as folder:
        told = {
            "THUMBLAB_ALERT_WEBHOOK_URL": webhook.url,
            "THUMBLAB_ALERT_SMTP_HOST": "127.0.0.1",
            "THUMBLAB_ALERT_SMTP_PORT": str(mails.port),
            "THUMBLAB_ALERT_SMTP_SECURITY": "none",
            "THUMBLAB_ALERT_MAIL_TO": "owner@example.com",
            "THUMBLAB_ALERT_WAIT_S": "180",
        }
        with ExitStack() as servers:
            up = servers.enter_context(running(folder, "--demo", **told))
            lab = RunningLab(up, folder / "demo")
            wait_until(lambda: (lab.data_dir / "monitoring.json").is_file(), 300, "the sensor looked once", every=1)
            scraper = servers.enter_context(prometheus(tmp_path / "prometheus", up.url("scoring"))) if PROGRAM else None
            runs = [fail(lab, niche) for niche in NICHES]

            def ended() -> bool:
                found = lab.graphql(_STATUS, filter={"runIds": runs})["runsOrError"]["results"]
                return [run["status"] for run in found] == ["FAILURE"] * 3

            wait_until(ended, 300, "the three runs fail", every=1)
            wait_until(lambda: bool(webhook.texts and mails.mails), 300, "the alert arrives", every=1)
            time.sleep(65)  # In this time, Dagster evaluates the sensor two more times.
            (text,), (mail,) = webhook.texts, mails.mails
            assert text.startswith("*roll_back_index of ")
            assert "failed (3 times)*" in text
            assert any(f"{up.url('dagster')}/runs/{run}" in text for run in runs)
            assert mail["Subject"].startswith("[Thumbnail Lab] roll_back_index of ")
            metrics = httpx.get(f"{up.url('scoring')}/metrics", trust_env=False, timeout=30).text
            assert 'thumblab_runs_ended_total{dagster_job="roll_back_index",outcome="failure"} 3.0' in metrics
            assert "thumblab_alerts_open 1.0" in metrics
            # The job had never run, so its first failures must count as an increase.
            fired = {("ThumbnailLabRunsFail", "Runs of roll_back_index failed in the last hour.")}
            assert scraper is None or scraper.firing() == fired
