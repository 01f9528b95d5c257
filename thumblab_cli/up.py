"""thumblab up: every server of the lab, until Ctrl-C."""

import signal
import time
from contextlib import ExitStack
from pathlib import Path

import click


@click.command(name="up")
@click.option("--demo", is_flag=True, help="On the demo's data, collecting from the YouTube emulator.")
@click.option(
    "--catalogue",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --demo: on what `thumblab demo --catalogue` made of this catalogue.",
)
@click.option("--dagster-port", default=3000, show_default=True)
@click.option("--mlflow-port", type=int, help="Default: 5000; with --demo, where the demo had it.")
def command(demo: bool, catalogue: Path | None, dagster_port: int, mlflow_port: int | None) -> None:
    """Run the Dagster UI and daemon, MLflow, and the scoring service with its page, until Ctrl-C."""
    from rich.console import Console

    from thumblab_cli import processes
    from thumblab_cli.demo_lab import demo_lab
    from thumblab_core.api_key import api_key
    from thumblab_core.errors import LabError
    from thumblab_core.settings import settings
    from thumblab_pipelines.steps.tracking import Tracker

    if catalogue is not None and not demo:
        raise LabError("--catalogue goes with --demo; a catalogue of your own goes in with `thumblab import`")
    console = Console()
    # Both, and whatever was inherited: a shell starts background jobs with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    with ExitStack() as stack:
        if demo:
            mlflow_port = stack.enter_context(demo_lab(catalogue, mlflow_port)).mlflow_port
        mlflow_port = mlflow_port or 5000
        chosen = settings()
        chosen.data_dir.mkdir(parents=True, exist_ok=True)
        home = processes.dagster_home(chosen)
        addresses = {
            "DAGSTER_HOME": str(home),
            "THUMBLAB_DATA_DIR": str(chosen.data_dir.resolve()),
            "THUMBLAB_MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow_port}",
            "THUMBLAB_DAGSTER_URL": f"http://127.0.0.1:{dagster_port}",
        }
        supervisor = stack.enter_context(processes.Supervisor(chosen.data_dir, addresses))
        servers = [
            processes.mlflow_server(chosen, mlflow_port),
            *processes.dagster_servers(dagster_port),
            processes.scoring_server(chosen, chosen.serving_port),
        ]
        for server in servers:
            if server.url:
                processes.refuse_taken(server)
            supervisor.start(server)
        with console.status("starting"):
            for server in servers:
                supervisor.wait(server)
            models = Tracker.connect(addresses["THUMBLAB_MLFLOW_TRACKING_URI"]).page()
        urls = {server.name: server.url for server in servers}
        console.print(f"Dagster          {urls['dagster']}")
        console.print(f"MLflow           {models}", soft_wrap=True)
        console.print(f"Score thumbnails {urls['scoring']}/#key={api_key(chosen)}", soft_wrap=True)
        console.print(f"API              {urls['scoring']}/openapi.json")
        console.print(f"Logs             {chosen.data_dir / 'logs'}", soft_wrap=True)
        console.print("Ctrl-C stops everything.")
        try:
            while True:
                supervisor.check()
                time.sleep(1)
        except KeyboardInterrupt:
            # A second Ctrl-C must not leave half of them running.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            console.print("stopping")
