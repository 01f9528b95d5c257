"""The servers of a lab (MLflow, Dagster and the scoring service), and the commands that start these servers."""

import importlib.metadata
import json
import os
import re
import sys
from pathlib import Path

from thumblab_cli.servers.readiness import answers_at, daemon_beats, listens_on
from thumblab_cli.servers.supervisor import Server
from thumblab_core.hosts import answering_host, host_in_url
from thumblab_core.settings import CHECKOUT, Settings
from thumblab_serving.dagster_runs.graphql import REPOSITORY

DAGSTER_ENVIRONMENT = {
    # On a busy machine with two cores, starting the process of a run may take more than Dagster's default of 60 s.
    "DAGSTER_GRPC_TIMEOUT_SECONDS": "180",
    # Without this variable, a backfill fails permanently if the daemon continues the backfill while the code server is
    # down.
    "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR": "1",
}
"""The environment variables of Dagster's servers. The container image of the pipelines sets the same variables."""


def mlflow_url(port: int) -> str:
    """Return the address of the MLflow server on this port."""
    return f"http://127.0.0.1:{port}"


def dagster_url(port: int) -> str:
    """Return the address of Dagster's UI on this port."""
    return f"http://127.0.0.1:{port}"


def mlflow_server(settings: Settings, port: int) -> Server:
    """Return the MLflow server.

    The MLflow server uses the lab's PostgreSQL server, and keeps artifacts in the data folder.
    """
    from thumblab_core.database.urls import named_database_url
    from thumblab_core.embedded_postgres.cluster import link_to

    base = mlflow_url(port)
    artifacts = settings.data_dir / "mlflow-artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--artifacts-destination", artifacts.resolve().as_uri(), "--serve-artifacts"]
    # MLflow reads these variables. The database URI is not a command-line argument, because the list of processes would
    # then show the password of an external database.
    environment = {
        "MLFLOW_BACKEND_STORE_URI": named_database_url("mlflow", "psycopg2", settings),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    installed = Path(str(importlib.metadata.distribution("mlflow").locate_file("")))
    # MLflow's migrations read a percent sign in their own path as a variable. So MLflow runs from a link without a
    # percent sign in its path.
    if "%" in str(installed):
        environment["PYTHONPATH"] = str(link_to(installed))
    return Server("mlflow", command, base, answers_at(f"{base}/health"), environment)


def scoring_server(settings: Settings, port: int) -> Server:
    """Return the scoring service, which listens on the host of the settings and on this port."""
    host = settings.serving_host
    base = f"http://{host_in_url(answering_host(host), port)}"
    command = [sys.executable, "-m", "thumblab_serving"]
    return Server("scoring", [*command, "--host", host, "--port", str(port)], base, answers_at(f"{base}/health"))


def dagster_servers(port: int, home: Path) -> list[Server]:
    """Return Dagster's code server, webserver and daemon.

    The code server loads the definitions and executes the runs. The webserver and the daemon use this code server,
    because their `workspace.yaml` contains the path of its socket. If `workspace.yaml` contained the name of a module,
    the webserver and the daemon would each start a code server of their own. The daemon would also start a new code
    server every minute.

    `home` is the folder of `dagster_home`. This function writes `workspace.yaml` into this folder.
    """
    for old in home.glob("code-*.sock"):
        old.unlink(missing_ok=True)
    # A code server removes its socket when it ends. A code server of an earlier `up` may end after this start. So each
    # start uses a new name for the socket.
    name = REPOSITORY["repositoryLocationName"]
    socket = short_path(home) / f"code-{os.getpid()}.sock"
    workspace = home / "workspace.yaml"
    location = {"socket": str(socket), "location_name": name}
    workspace.write_text(json.dumps({"load_from": [{"grpc_server": location}]}))  # JSON is valid YAML.
    base = dagster_url(port)
    code = ["dagster", "api", "grpc", "--socket", str(socket), "--location-name", name]
    code += ["--module-name", "thumblab_pipelines.definitions", "--use-python-environment-entry-point"]
    webserver = ["thumblab_pipelines.lab_webserver", "-h", "127.0.0.1", "-p", str(port), "-w", str(workspace)]
    daemon = ["dagster._daemon", "run", "-w", str(workspace)]
    return [
        Server("dagster-code", [sys.executable, "-m", *code], None, listens_on(socket), DAGSTER_ENVIRONMENT),
        Server(
            "dagster", [sys.executable, "-m", *webserver], base, answers_at(f"{base}/server_info"), DAGSTER_ENVIRONMENT
        ),
        Server("dagster-daemon", [sys.executable, "-m", *daemon], None, daemon_beats(base), DAGSTER_ENVIRONMENT),
    ]


def short_path(folder: Path) -> Path:
    """Return a path of the folder that is short enough for a Unix socket and has no special characters.

    If the path of the folder is too long or has special characters, the result is a link in /tmp. The link is made
    again if it is missing, because many systems delete old files in /tmp.
    """
    from thumblab_core.embedded_postgres.cluster import link_to

    return folder if re.fullmatch(r"[\w/.-]{1,90}", str(folder), re.ASCII) else link_to(folder)


def dagster_home(settings: Settings) -> Path:
    """Return the folder of Dagster's own files.

    Create the folder if it is missing, and copy the lab's `dagster.yaml` into it.

    Dagster's processes find this folder through the environment variable DAGSTER_HOME, which `thumblab up` sets.
    """
    home = settings.data_dir.resolve() / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    (home / "dagster.yaml").write_bytes((CHECKOUT / "dagster.yaml").read_bytes())
    return home
