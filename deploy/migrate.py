"""Create or migrate the tables of the lab, of Dagster and of MLflow: `python deploy/migrate.py`.

docker-compose.yml runs this script before the other services. Otherwise two servers might create the same tables at the
same time, or a server might find tables of an earlier version after an update.
"""

import sys

from dagster import DagsterInstance
from mlflow.db import commands as mlflow_database

from thumblab_core.database.schema import migrate
from thumblab_core.database.urls import database_url, named_database_url
from thumblab_core.errors import LabError


def main() -> None:
    migrate(database_url())
    print("The lab's tables are up to date.")
    with DagsterInstance.get() as instance:
        instance.upgrade()
    print("Dagster's tables are up to date.")
    # Run MLflow's command in this process, because the list of processes would show the password in an argument.
    mlflow_database.main(["upgrade", named_database_url("mlflow", "psycopg2")], standalone_mode=False)
    print("MLflow's tables are up to date.")


if __name__ == "__main__":
    try:
        main()
    except LabError as error:
        sys.exit(f"thumblab: {error}")
