"""Test how `thumblab up` starts and ends."""

import json
import signal
from pathlib import Path

import httpx
import pytest
from real_processes import (
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

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


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
        assert list(folder.iterdir()) == [], "nothing was written, and no database was started"
    assert httpx.get(lab.up.url(which), timeout=30, trust_env=False).status_code == 200


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
    """End the session's lab with Ctrl-C.

    Then run `thumblab up` without the demo in the same folder, and end it with SIGTERM.
    """
    ends_well(lab.up, lab.data_dir, signal.SIGINT)
    with running(lab.data_dir) as up:
        ends_well(up, lab.data_dir, signal.SIGTERM)
