"""Tests of the lock that lets only one process of a lab log to MLflow at a time.

In these tests, a simple object takes the place of MLflow's client, so nothing is logged.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from thumblab_core.database.lock_numbers import MLFLOW
from thumblab_core.errors import LabError
from thumblab_pipelines.channels.export_channel import one_import_at_a_time
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.models import tracking
from thumblab_pipelines.models.tracking import log_model

BUILT: Any = SimpleNamespace(release=None, evaluations=[], history=[])


def tracker(log: Callable[[], Any]) -> Any:
    return SimpleNamespace(log=lambda *of: log())


def holders(lab: Lab, then: str = "") -> list[Any]:
    """Return the ids of the server processes of PostgreSQL that hold the lock in the lab's database.

    PostgreSQL has one such process for each connection. If `then` names an SQL function, call the function with each
    id, and return its results instead of the ids.
    """
    database = "(SELECT oid FROM pg_database WHERE datname = current_database())"
    locks = f"FROM pg_locks WHERE locktype = 'advisory' AND objid = {MLFLOW} AND granted AND database = {database}"
    with lab.engine.connect() as connection:
        return list(connection.scalars(text(f"SELECT {then}(pid) {locks}")))


@pytest.fixture
def lab(open_lab: Callable[..., Lab]) -> Lab:
    return open_lab()


def test_a_process_waits_while_another_logs_and_warns(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    other = replace(lab, engine=create_engine(lab.engine.url))
    started, may_end, order = threading.Event(), threading.Event(), []

    def first() -> None:
        started.set()
        may_end.wait(30)
        order.append("first")

    threads = [threading.Thread(target=log_model, args=(lab, tracker(first), BUILT))]
    threads[0].start()
    assert started.wait(30)
    threads.append(threading.Thread(target=log_model, args=(other, tracker(lambda: order.append("second")), BUILT)))
    with caplog.at_level(logging.WARNING):
        threads[1].start()
        threads[1].join(1)
    assert threads[1].is_alive()
    assert "waiting" in caplog.text
    may_end.set()
    for thread in threads:
        thread.join(30)
    assert order == ["first", "second"]
    assert holders(lab) == []
    other.engine.dispose()


def test_an_error_of_mlflow_is_raised_and_the_lock_is_released(lab: Lab) -> None:
    def broken() -> None:
        raise LabError("the disk is full")

    with pytest.raises(LabError, match="the disk is full"):
        log_model(lab, tracker(broken), BUILT)
    assert holders(lab) == []
    assert log_model(lab, tracker(lambda: "logged"), BUILT) == "logged"


def test_a_lost_database_connection_does_not_fail_the_logging(lab: Lab) -> None:
    def logged() -> str:
        assert holders(lab, "pg_terminate_backend") == [True]
        return "logged"

    assert log_model(lab, tracker(logged), BUILT) == "logged"
    assert log_model(lab, tracker(lambda: "again"), BUILT) == "again"


def test_waiting_for_another_process_has_a_limit(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_LONGEST_WAIT_S", 0.2)
    with lab.engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": MLFLOW})
        with pytest.raises(LabError, match="too long") as raised:
            log_model(lab, tracker(lambda: "never"), BUILT)
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": MLFLOW})
    assert raised.value.transient


def test_an_import_of_exports_does_not_wait_for_the_logging(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking, "_LONGEST_WAIT_S", 0.2)
    with one_import_at_a_time(lab):
        assert log_model(lab, tracker(lambda: "logged"), BUILT) == "logged"
