"""Make links from Dagster to MLflow. The links lead to a path of Dagster's webserver, which redirects to MLflow's
address."""

import dagster as dg

MLFLOW_PATH = "/mlflow"
"""The path at which `lab_webserver` redirects to MLflow."""


def mlflow_link(url: str) -> dg.MetadataValue:
    """Return a link for metadata of Dagster. `url`: the address of a page of MLflow, or only the fragment of the
    address."""
    return dg.MetadataValue.url(f"{MLFLOW_PATH}#{url.partition('#')[2]}")
