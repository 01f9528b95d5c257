"""Run the scoring service: `python -m thumblab_serving`, with the limits that uvicorn's own command has no options for."""

import argparse
import os
import tempfile
from typing import Any

import uvicorn

from thumblab_core.settings import settings
from thumblab_serving.http.connections import Connection

_OPTIONS: dict[str, Any] = {
    "http": Connection,
    "ws": "none",
    "access_log": False,
    # A worker that loads on a busy machine answers late; uvicorn's own 5 s would end it, and the next one as well.
    "timeout_worker_healthcheck": 180,
}


def config(app: Any, **options: Any) -> uvicorn.Config:
    """uvicorn's configuration of an app of ours."""
    return uvicorn.Config(app, **{**_OPTIONS, **options})


def main() -> None:
    chosen = settings()
    parser = argparse.ArgumentParser("python -m thumblab_serving", description=__doc__)
    parser.add_argument("--host", default=chosen.serving_host, help="default: THUMBLAB_SERVING_HOST")
    parser.add_argument("--port", type=int, default=chosen.serving_port, help="default: THUMBLAB_SERVING_PORT")
    parser.add_argument("--workers", type=int, default=chosen.serving_workers, help="default: THUMBLAB_SERVING_WORKERS")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="thumblab-metrics-") as folder:
        if asked.workers > 1:  # read when a worker imports prometheus_client: /metrics is of all of them
            os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", folder)
        uvicorn.run("thumblab_serving.app:create_app", factory=True, **vars(asked), **_OPTIONS)


if __name__ == "__main__":
    main()
