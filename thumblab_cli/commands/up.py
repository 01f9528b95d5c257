"""`thumblab up`: run every server of the lab until Ctrl-C."""

import signal
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thumblab_cli.which_lab import demo_and_catalogue, here, lab_settings

if TYPE_CHECKING:
    from rich.console import Console

    from thumblab_cli.doctor.encoder_at_start import EncoderCheck
    from thumblab_cli.servers.ports import Ports
    from thumblab_cli.servers.supervisor import Server, Supervisor
    from thumblab_core.running import Running
    from thumblab_core.settings import Settings

_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_CHECK_SECONDS = 5
"""Seconds between two checks that the database still runs, and that Dagster's socket can still be found."""


@click.command(name="up")
@demo_and_catalogue("Run the demo's lab, which collects from the YouTube emulator.", "run")
@click.option(
    "--dagster-port",
    type=click.IntRange(1, 65535),
    help="Default: the port of the last start, or 3000 at the first start. If that port is taken: the next free port.",
)
@click.option(
    "--mlflow-port",
    type=click.IntRange(1, 65535),
    help="Default: the port of the last start. At the first start: 5000, or the next free port if 5000 is taken.",
)
def command(demo: bool, catalogue: Path | None, dagster_port: int | None, mlflow_port: int | None) -> None:
    """Run the Dagster UI and daemon, MLflow, and the scoring service with its web page, until Ctrl-C.

    A server that ends by itself is started again, and so is the lab's own database. The pause before a restart grows
    from 0 seconds to 5 minutes. `thumblab logs` shows what the servers log.

    Ctrl-C, SIGTERM and SIGHUP stop everything within 10 seconds. Dagster tries the stopped runs again at the next
    start. A stopped run continues from the results that it has stored.
    """
    from thumblab_cli.demo.lab import demo_lab
    from thumblab_cli.demo.one_demo import demo_on
    from thumblab_cli.printing.tables import wide_console
    from thumblab_cli.servers import lab_servers, ports
    from thumblab_core.data_folder import make_writable_data_folder
    from thumblab_core.errors import LabError
    from thumblab_core.running import Running, refuse_second

    chosen = lab_settings(demo, catalogue)
    console = wide_console()
    refuse_second(chosen.data_dir)
    if runs := demo_on(chosen.data_dir):
        raise LabError(f"{runs}; wait for it or stop it, then start `thumblab up` again")
    ports.refuse_unusable("scoring", chosen.serving_host, 0)
    planned = ports.plan_ports(chosen, dagster_port, mlflow_port)
    scoring = lab_servers.scoring_server(chosen, planned.scoring)
    running = Running(
        lab_servers.dagster_url(planned.dagster), lab_servers.mlflow_url(planned.mlflow), str(scoring.url)
    )
    # Check the ports before the command writes any file.
    _refuse_taken_ports(running, chosen.serving_host, planned.scoring)
    make_writable_data_folder(chosen.data_dir)
    _stop_on_signals()
    with ExitStack() as stack:
        try:
            if demo:
                lab = stack.enter_context(demo_lab(catalogue, planned.mlflow))
                _run(stack, console, lab.settings, running, planned, lab.environment)
            else:
                _run(stack, console, chosen, running, planned, {})
        except KeyboardInterrupt:
            # Ignore a second Ctrl-C. A second Ctrl-C would interrupt the shutdown, and some servers would keep running.
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)
            console.print("stopping")


def _run(
    stack: ExitStack,
    console: "Console",
    chosen: "Settings",
    running: "Running",
    planned: "Ports",
    environment: dict[str, str],
) -> None:
    """Start the servers in order, and watch them until this process is interrupted.

    The servers end when `stack` is closed.
    """
    from thumblab_cli.doctor.encoder_at_start import EncoderCheck
    from thumblab_cli.servers import lab_servers, ports
    from thumblab_cli.servers.supervisor import Supervisor
    from thumblab_core.database.schema import migrate
    from thumblab_core.database.urls import database_url
    from thumblab_core.running import announced

    dagster_home = lab_servers.dagster_home(chosen)
    environment = environment | {
        "DAGSTER_HOME": str(dagster_home),
        "THUMBLAB_DATA_DIR": str(chosen.data_dir.resolve()),
        "THUMBLAB_MLFLOW_TRACKING_URI": running.mlflow,
        "THUMBLAB_DAGSTER_URL": running.dagster,
    }
    console.print("starting the database")
    # Start the database first, because every other server needs it. If a newer version of the lab has changed the
    # tables, this call raises an error.
    migrate(database_url(chosen))
    encoder = EncoderCheck(chosen, environment)
    stack.callback(encoder.stop)
    mlflow = lab_servers.mlflow_server(chosen, planned.mlflow)
    code, dagster, *daemon = lab_servers.dagster_servers(planned.dagster, dagster_home)
    scoring = lab_servers.scoring_server(chosen, planned.scoring)
    stack.enter_context(announced(chosen.data_dir, running))
    # The database may have taken seconds to start, so the ports are checked again.
    _refuse_taken_ports(running, chosen.serving_host, planned.scoring)
    ports.keep_ports(chosen, planned)
    supervisor = stack.enter_context(Supervisor(chosen.data_dir, environment))
    # These three servers do not need each other to start, so they start at the same time.
    _start(console, supervisor, [mlflow, code, scoring])
    # The webserver and the daemon read the definitions from the code server at their start, so the code server must run
    # already.
    _start(console, supervisor, [dagster])
    for name, usual in planned.moved.items():
        port = getattr(planned, name)
        console.print(f"Something else listens on port {usual}, so {name} uses port {port} from now on.")
    _print_addresses(console, running, chosen)
    # Start the daemon last: it starts the runs that are due, and these runs need MLflow. Only the webserver shows
    # whether the daemon is alive, so the webserver must run already.
    _start(console, supervisor, daemon)
    console.print("Ctrl-C stops everything.")
    _supervise(console, supervisor, chosen, dagster_home, encoder)


def _stop_on_signals() -> None:
    """Make SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt.

    A parent may have made this process ignore a signal: a shell, for example, starts background jobs with SIGINT
    ignored. In this case, only SIGHUP stays ignored, because `nohup` wants SIGHUP to be ignored.
    """
    for number in _SIGNALS - {signal.SIGHUP}:
        signal.signal(number, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def _refuse_taken_ports(running: "Running", host: str, scoring_port: int) -> None:
    from thumblab_cli.servers import ports

    for name, url in asdict(running).items():
        ports.refuse_taken(name, url)
    ports.refuse_unusable("scoring", host, scoring_port)


def _print_addresses(console: "Console", running: "Running", chosen: "Settings") -> None:
    from thumblab_core.errors import LabError
    from thumblab_core.keys.generated_key import api_key
    from thumblab_pipelines.models.tracking import Tracker

    try:
        runs_page = Tracker.connect(running.mlflow).page()
    except LabError:  # MLflow gave no address of the page that shows the runs.
        runs_page = running.mlflow
    console.print(f"Dagster          {running.dagster}")
    console.print(f"MLflow           {runs_page}", soft_wrap=True)
    console.print(f"Score thumbnails {running.scoring}/#key={api_key(chosen)}", soft_wrap=True)
    console.print(f"Library          {running.scoring}/library#key={api_key(chosen)}", soft_wrap=True)
    if chosen.people != "off":
        console.print(f"People           {running.scoring}/people#key={api_key(chosen)}", soft_wrap=True)
    console.print(f"API              {running.scoring}/openapi.json")
    console.print(f"Logs             {here('logs --follow')}, or {chosen.data_dir / 'logs'}", soft_wrap=True)


def _start(console: "Console", supervisor: "Supervisor", servers: "Sequence[Server]") -> None:
    """Start the servers at the same time, and wait until all of them are ready."""
    from thumblab_cli.servers.waiting import wait_for

    for server in servers:
        supervisor.start(server)
    if servers:
        console.print(f"starting {', '.join(server.name for server in servers)}", highlight=False)
    wait_for(console, supervisor, servers)


def _supervise(
    console: "Console", supervisor: "Supervisor", chosen: "Settings", dagster_home: Path, encoder: "EncoderCheck"
) -> None:
    """Watch the servers and the database until Ctrl-C. Restart a server, or the database, when it has ended.

    When the check of the image encoder has ended, print what is wrong.
    """
    from thumblab_cli.servers import lab_servers, log_keeper
    from thumblab_cli.servers.clock_watch import ClockWatch
    from thumblab_cli.servers.database_watch import DatabaseWatch
    from thumblab_cli.servers.logs import MOST_BYTES, OLD_FILES, log_path
    from thumblab_core.errors import LabError

    log = log_keeper.writer(str(log_path(chosen.data_dir, "up")), MOST_BYTES, OLD_FILES)

    def print_line(line: str) -> None:
        log(line)
        now = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
        # The output may be a file on a full disk. If printing fails, the servers must keep running.
        with suppress(OSError):
            console.print(f"{now} {line}", markup=False, highlight=False, soft_wrap=True)

    database, clock = DatabaseWatch(chosen), ClockWatch()
    for second in count():
        if problem := encoder.result():
            print_line(problem)
        if back := clock.seconds_set_back():
            # The daemon keeps the time of its last check of each schedule. After the clock was set back, the daemon
            # starts no run until the clock has passed the kept time. A restarted daemon no longer has the kept time.
            print_line(f"the clock was set back by {back:.0f} s, so dagster-daemon is started again")
            supervisor.kill("dagster-daemon")
        if second % _CHECK_SECONDS == 0:
            database.mend(print_line)
            try:
                lab_servers.short_path(dagster_home)
            except LabError as error:
                print_line(str(error))
        supervisor.mend(print_line)
        time.sleep(1)
