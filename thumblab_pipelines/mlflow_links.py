"""Link from Dagster to MLflow, by a path of Dagster's webserver that redirects to wherever MLflow runs."""

import dagster as dg

MLFLOW_PATH = "/mlflow"
"""The path at which `lab_webserver` redirects to MLflow."""


def mlflow_link(url: str) -> dg.MetadataValue:
    """Return a link for metadata of Dagster. `url` is the address of a page of MLflow, or its fragment alone."""
    return dg.MetadataValue.url(f"{MLFLOW_PATH}#{url.partition('#')[2]}")
