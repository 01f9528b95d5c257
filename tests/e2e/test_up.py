"""Test how `thumblab up` starts and ends, and what its doctor and its logs show."""

import json
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest
from real_processes import (
    REPOSITORY,
    RunningLab,
    Up,
    alive,
    database_running,
    family,
    free_ports,
    listens,
    new_folder,
    running,
    thumblab,
    wait_until,
)

pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("which", ["dagster", "mlflow", "scoring"])
def test_a_second_up_on_a_taken_port_is_refused_and_leaves_the_first_alone(lab: RunningLab, which: str) -> None:
    with new_folder() as folder:
        ports = dict(zip(("dagster", "mlflow", "scoring"), free_ports(3), strict=True)) | {which: lab.up.ports[which]}
        options = ["--dagster-port", str(ports["dagster"]), "--mlflow-port", str(ports["mlflow"])]
        done = thumblab(folder, "up", *options, THUMBLAB_SERVING_PORT=str(ports["scoring"]))
        assert done.returncode == 1
        assert f"thumblab: something listens on 127.0.0.1:{ports[which]} already; stop it" in done.stderr
        assert done.stderr.count("\n") == 1
        assert [name for name, port in ports.items() if listens(port)] == [which]
        assert list(folder.iterdir()) == [], "`up` must write no file and start no database"
    assert httpx.get(lab.up.url(which), timeout=30, trust_env=False).status_code == 200


def test_the_doctor_finds_what_a_person_turned_off_in_the_running_lab(
    lab: RunningLab, schedules: list[dict[str, Any]]
) -> None:
    no_proxy = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "")
    done = thumblab(lab.data_dir.parent, "doctor", "--demo", "--json", **no_proxy)
    found = {check["check"]: check["findings"] for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0, done.stdout
    assert "this check failed" not in done.stdout
    was_on = [schedule["name"] for schedule in schedules if schedule["scheduleState"]["status"] == "RUNNING"]
    off = [finding["what"] for finding in found["schedules"] if finding["level"] == "warning"]
    assert sorted(off) == sorted(f"the schedule {name} is turned off" for name in was_on)
    assert lab.up.url("dagster") in found["schedules"][0]["mend"]
    assert [found[check][0]["level"] for check in ("database", "daemon", "releases")] == ["ok"] * 3


def test_the_logs_of_all_servers_are_shown_together(lab: RunningLab) -> None:
    done = thumblab(lab.data_dir.parent, "logs", "--demo", "--lines", "100000")
    assert {line.split(" ", 3)[2] for line in done.stdout.splitlines()} - {"up"} == {
        "dagster",
        "dagster-code",
        "dagster-daemon",
        "mlflow",
        "scoring",
    }


def started_run(lab: RunningLab) -> str:
    """Start a refresh of a niche, wait until the run has begun, and return the id of the run."""
    launched = lab.graphql(
        """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) {
            __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
        params={
            "selector": {**REPOSITORY, "jobName": "refresh_library"},
            "runConfigData": {},
            "mode": "default",
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": "tech"}]},
        },
    )["launchRun"]
    run_id: str = launched["run"]["runId"]
    wait_until(lambda: "STARTED" in [status for status, _ in runs(lab, run_id)], 120, "the run starts")
    return run_id


def runs(lab: RunningLab, run_id: str) -> list[tuple[str, str | None]]:
    """Return a pair for a run, and then for each run that retries it.

    A pair has the status of a run, and the id of the run that it retries. This id is None for the first run.
    """
    listed = lab.graphql("{ runsOrError(limit: 20) { ... on Runs { results { runId parentRunId status } } } }")
    results = listed["runsOrError"]["results"]
    return [(run["status"], run["parentRunId"]) for run in results if run_id in (run["runId"], run["parentRunId"])]


def ends_well(up: Up, data_dir: Path, number: signal.Signals) -> None:
    children = family(up.process)
    assert len(children) > 4
    assert all(map(listens, up.ports.values()))
    up.process.send_signal(number)
    assert up.process.wait(90) in (0, 130)
    wait_until(lambda: not alive(children), 60, "every process ends")
    assert not any(map(listens, up.ports.values()))
    wait_until(lambda: not database_running(data_dir), 60, "the database stops")
    status = json.loads(thumblab(data_dir, "db", "status", "--json").stdout)
    assert (status["running"], status["in_use"], status["kept"]) == (False, False, False)


@pytest.mark.last
def test_up_leaves_no_process_port_or_database_when_it_ends(lab: RunningLab) -> None:
    """Test a lab that ends while a run is going on.

    Ctrl-C ends the lab that all tests of this folder share. Then `thumblab up` runs in the same folder, without the
    demo. This second `up` must retry the interrupted run. At the end, SIGTERM ends the second `up`.
    """
    run_id = started_run(lab)
    ends_well(lab.up, lab.data_dir, signal.SIGINT)
    with running(lab.data_dir) as up:
        again = RunningLab(up, lab.data_dir)
        wait_until(lambda: run_id in [parent for _, parent in runs(again, run_id)], 120, "the run is tried again", 0.5)
        assert ("FAILURE", None) in runs(again, run_id), "Dagster must not show the interrupted run as running"
        ends_well(up, lab.data_dir, signal.SIGTERM)
