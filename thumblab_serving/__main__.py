"""Run the scoring service with `python -m thumblab_serving`.

This command limits connections in ways that uvicorn's own command does not offer.
"""

import argparse
import os
import tempfile
from typing import Any

import uvicorn

from thumblab_core.settings import settings
from thumblab_serving.http.connections import Connection
from thumblab_serving.workers.shared_folder import VARIABLE
from thumblab_serving.workers.supervisor import Supervisor

_OPTIONS: dict[str, Any] = {
    "http": Connection,
    "ws": "none",
    "access_log": False,
    # uvicorn would trust X-Forwarded-For from every process of this machine. `http.forwarded` trusts this header only
    # if it comes from a proxy that the settings name.
    "proxy_headers": False,
    # uvicorn's default timeout is 5 s. On a busy machine, a worker may need longer to start. uvicorn would kill this
    # worker, and later also each worker that replaces it.
    "timeout_worker_healthcheck": 180,
}


def use_one_blas_thread() -> None:
    """Let numpy compute each product of matrices in the thread that asks for it. Call this before numpy is imported.

    The products of a request are small. On a busy machine, a second thread of OpenBLAS waits for the first thread in a
    busy loop. The waiting costs several times the processor time of the product. If OPENBLAS_NUM_THREADS is set
    already, its value is kept.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def config(app: Any, **options: Any) -> uvicorn.Config:
    """Return uvicorn's configuration for `app`. `options` are added to `_OPTIONS`, or replace options in it."""
    return uvicorn.Config(app, **{**_OPTIONS, **options})


def main() -> None:
    """Run the service with the options of the command line."""
    use_one_blas_thread()
    defaults = settings()
    parser = argparse.ArgumentParser("python -m thumblab_serving", description=__doc__)
    parser.add_argument("--host", default=defaults.serving_host, help="default: THUMBLAB_SERVING_HOST")
    parser.add_argument("--port", type=int, default=defaults.serving_port, help="default: THUMBLAB_SERVING_PORT")
    parser.add_argument(
        "--workers", type=int, default=defaults.serving_workers, help="default: THUMBLAB_SERVING_WORKERS"
    )
    arguments = parser.parse_args()
    if arguments.workers < 1:
        parser.error("argument --workers: give at least 1")
    if arguments.workers == 1:
        uvicorn.run("thumblab_serving.app:create_app", factory=True, **vars(arguments), **_OPTIONS)
        return
    with tempfile.TemporaryDirectory(prefix="thumblab-workers-", ignore_cleanup_errors=True) as folder:
        # prometheus_client reads this variable at its import. If the variable is set, /metrics covers all workers.
        os.environ.setdefault(VARIABLE, folder)
        options = config("thumblab_serving.app:create_app", factory=True, **vars(arguments))
        Supervisor(options, [options.bind_socket()]).run()


if __name__ == "__main__":
    main()
