"""Tests of Dagster's storage when the database goes down and is available again."""

import subprocess
import sys

import dagster as dg
import pytest
from sqlalchemy import create_engine, text


@pytest.mark.slow
def test_a_database_that_is_down_does_not_double_the_lines_of_the_daemons_log() -> None:
    """Do what the daemon does at its start: give its loggers their own handlers. Then let the storage log a warning."""
    program = """
import logging, sys
from thumblab_pipelines.dagster_storage import _log_lines_once
logger = logging.getLogger("dagster.daemon.SensorDaemon")
logger.addHandler(logging.StreamHandler())
logger.setLevel("INFO")
if sys.argv[1:]:
    _log_lines_once()
logging.warning("Retrying failed database connection")
logging.getLogger("thumblab_pipelines").warning("a warning of the lab")
logger.info("a tick"); logger.warning("a late tick")
"""

    def lines(*arguments: str) -> list[str]:
        done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
        return done.stderr.splitlines()

    assert len(lines()) > 4, "without the guard, each line must come twice"
    assert lines("mended") == ["Retrying failed database connection", "a warning of the lab", "a tick", "a late tick"]


def test_the_first_request_to_the_webserver_after_a_restart_of_the_database_succeeds(
    instance: dg.DagsterInstance,
) -> None:
    instance.optimize_for_webserver(15_000, 3_600, 20)  # The webserver also makes this call at its start.
    parts = [instance.run_storage, instance.event_log_storage, instance.schedule_storage]

    def ask() -> None:
        run = instance.create_run_for_job(dg.GraphDefinition(name="empty").to_job())
        instance.report_engine_event("launched", run)
        assert instance.all_instigator_state() == []
        assert len(instance.all_logs(run.run_id)) == 1

    ask()
    for storage in parts:
        part = getattr(storage, "_storage", storage)
        with part._engine.connect() as connection:
            assert connection.execute(text("SHOW statement_timeout")).scalar() == "15s"
        # End every connection, as a restart of the database server does.
        admin = create_engine(part.postgres_url, isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            connection.execute(text(f"{others} AND datname = current_database()"))
        admin.dispose()
    ask()
