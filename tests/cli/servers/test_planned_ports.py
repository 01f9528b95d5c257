"""Test which ports the servers of `thumblab up` get."""

import socket
from pathlib import Path

from thumblab_cli.servers.ports import Ports, keep_ports, plan_ports
from thumblab_core.settings import Settings


def test_a_taken_usual_port_is_replaced_once_and_the_new_port_stays(tmp_path: Path) -> None:
    lab = Settings(_env_file=None, data_dir=tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        for name in ("dagster", "mlflow"):
            (tmp_path / f"{name}-port").write_text(str(taken))
        planned = plan_ports(lab)
        assert planned.moved["dagster"] == taken, (
            "Dagster must get a free port, because only links in old runs of MLflow depend on the port of Dagster"
        )
        assert planned.dagster != taken
        assert planned.mlflow == taken, "the port must stay, because links to MLflow depend on it; `up` then refuses it"
        assert plan_ports(lab, dagster=taken).dagster == taken, "a port that the user gives is never replaced"
        given = Settings(_env_file=None, data_dir=tmp_path, serving_port=taken)
        assert plan_ports(given).scoring == taken
    keep_ports(lab, planned)
    assert plan_ports(lab) == Ports(planned.dagster, taken, planned.scoring)
    assert (tmp_path / "scoring-port").read_text() == str(planned.scoring)


def test_no_two_servers_get_the_same_port(tmp_path: Path) -> None:
    lab = Settings(_env_file=None, data_dir=tmp_path)
    planned = plan_ports(lab, dagster=5000)
    assert len({planned.dagster, planned.mlflow, planned.scoring}) == 3
    assert planned.moved["mlflow"] == 5000
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        (tmp_path / "dagster-port").write_text(str(taken))
        (tmp_path / "mlflow-port").write_text(str(taken + 1))
        planned = plan_ports(lab)
    assert planned.mlflow == taken + 1
    assert planned.dagster not in (taken, taken + 1), "Dagster must not get the port that MLflow keeps"
