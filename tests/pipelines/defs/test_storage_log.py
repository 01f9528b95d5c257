"""Test the log of Dagster's processes while the database is down."""

import subprocess
import sys


def test_a_database_that_is_down_does_not_double_the_lines_of_the_daemons_log() -> None:
    """Run what the daemon does at its start: its loggers get handlers of their own, and the storage warns."""
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

    assert len(lines()) > 4, "without the handler, lines come twice"
    assert lines("mended") == ["Retrying failed database connection", "a warning of the lab", "a tick", "a late tick"]
