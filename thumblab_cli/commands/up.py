"""`thumblab up`: run every server of the lab until Ctrl-C."""

import signal
import time
from contextlib import ExitStack
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from thumblab_cli.servers.supervisor import Supervisor
    from thumblab_core.running import Running
    from thumblab_core.settings import Settings

_DATABASE_SECONDS = 5
"""Seconds between two checks that the database still runs."""


@click.command(name="up")
@click.option("--demo", is_flag=True, help="Run the demo's lab, which collects from the YouTube emulator.")
@click.option(
    "--catalogue",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --demo: run the lab that `thumblab demo --catalogue` made of this catalogue.",
)
@click.option("--dagster-port", default=3000, show_default=True)
@click.option(
    "--mlflow-port",
    type=int,
    help="Default: the port of the last start. At the first start: 5000, or a free port if 5000 is taken.",
)
def command(demo: bool, catalogue: Path | None, dagster_port: int, mlflow_port: int | None) -> None:
    """Run the Dagster UI and daemon, MLflow, and the scoring service with its page, until Ctrl-C.

    A server that ends by itself is started again, at most three times in ten minutes. If the database ends, this
    command ends too.
    """
    from thumblab_cli.demo.lab import demo_lab
    from thumblab_cli.printing.tables import wide_console
    from thumblab_cli.servers import lab_servers, ports
    from thumblab_cli.servers.supervisor import Supervisor
    from thumblab_cli.servers.waiting import wait_for
    from thumblab_cli.which_lab import lab_settings
    from thumblab_core.data_folder import make_writable_data_folder
    from thumblab_core.running import Running, announced, refuse_second

    chosen = lab_settings(demo, catalogue)
    console = wide_console()
    refuse_second(chosen.data_dir)
    port = mlflow_port or ports.next_mlflow_port(chosen.data_dir)
    dagster = lab_servers.dagster_servers(dagster_port)
    scoring = lab_servers.scoring_server(chosen, chosen.serving_port)
    running = Running(str(dagster[0].url), lab_servers.mlflow_url(port), str(scoring.url))
    _refuse_taken_ports(running)  # This first check comes before the command writes any file.
    make_writable_data_folder(chosen.data_dir)
    # Both signals must stop the command, but the program that started this process may have made this process ignore
    # one of the signals. For example, a shell starts background jobs with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with ExitStack() as stack:
        environment: dict[str, str] = {}
        if demo:
            lab = stack.enter_context(demo_lab(catalogue, port))
            chosen, environment = lab.settings, lab.environment
        environment |= {
            "DAGSTER_HOME": str(lab_servers.dagster_home(chosen)),
            "THUMBLAB_DATA_DIR": str(chosen.data_dir.resolve()),
            "THUMBLAB_MLFLOW_TRACKING_URI": running.mlflow,
            "THUMBLAB_DAGSTER_URL": running.dagster,
        }
        console.print("starting the database")
        servers = [lab_servers.mlflow_server(chosen, port), *dagster, scoring]
        stack.enter_context(announced(chosen.data_dir, running))
        _refuse_taken_ports(running)  # The database may have taken seconds to start, so the ports are checked again.
        ports.keep_mlflow_port(chosen.data_dir, port)
        supervisor = stack.enter_context(Supervisor(chosen.data_dir, environment))
        for server in servers:
            supervisor.start(server)
        console.print(f"starting {', '.join(server.name for server in servers)}", highlight=False)
        wait_for(console, supervisor, servers)
        _print_addresses(console, running, chosen)
        try:
            _supervise(console, supervisor, chosen)
        except KeyboardInterrupt:
            # Ignore a second Ctrl-C. It would interrupt the shutdown, and some servers would keep running.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            console.print("stopping")


def _refuse_taken_ports(running: "Running") -> None:
    from thumblab_cli.servers import ports

    for name, url in asdict(running).items():
        ports.refuse_taken(name, url)


def _print_addresses(console: "Console", running: "Running", chosen: "Settings") -> None:
    from thumblab_core.errors import LabError
    from thumblab_core.keys.generated_key import api_key
    from thumblab_pipelines.models.tracking import Tracker

    try:
        runs_page = Tracker.connect(running.mlflow).page()
    except LabError:  # MLflow did not name the page of the runs.
        runs_page = running.mlflow
    console.print(f"Dagster          {running.dagster}")
    console.print(f"MLflow           {runs_page}", soft_wrap=True)
    console.print(f"Score thumbnails {running.scoring}/#key={api_key(chosen)}", soft_wrap=True)
    console.print(f"API              {running.scoring}/openapi.json")
    console.print(f"Logs             {chosen.data_dir / 'logs'}", soft_wrap=True)
    console.print("Ctrl-C stops everything.")


def _supervise(console: "Console", supervisor: "Supervisor", chosen: "Settings") -> None:
    """Watch the servers for ever, and restart each server that ends.

    Raise LabError when the database ends, or when a server has ended too often.
    """
    from thumblab_core.database.urls import running_database_url
    from thumblab_core.errors import LabError

    def print_line(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    for second in count():
        if second % _DATABASE_SECONDS == 0 and running_database_url(chosen) is None:
            raise LabError(f"the lab's database has ended; its log is {chosen.data_dir / 'postgres' / 'log'}")
        supervisor.mend(print_line)
        time.sleep(1)
