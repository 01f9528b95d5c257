"""The folder that all workers of one service share."""

import os
from pathlib import Path

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable with the path of the folder. prometheus_client, which counts requests, uses it too."""


def shared_folder(name: str = ".") -> Path | None:
    """Return the folder that all workers of this service share, or the folder `name` in it. Return None if there is
    only one worker.

    `python -m thumblab_serving` makes the shared folder, and deletes it when the service ends. The folder `name` may not
    exist yet.
    """
    folder = os.environ.get(VARIABLE)
    return Path(folder) / name if folder else None
