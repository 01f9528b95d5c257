"""Run the scoring service for the benchmark.

    python -m benchmarks.service.served FOLDER ENCODER PORT [uncached | two]

With `uncached`, the service caches no vectors, so each request decodes and encodes its pictures. Sub-scores, sizes and
colours stay cached. The time of a request is then the time to decode, encode, search and rank, plus the overhead of the
service.

With `two`, the service has two workers, as with `python -m thumblab_serving --workers 2`.
"""

import os
import sys
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from benchmarks.service.lab import settings_of
from thumblab_serving.__main__ import config
from thumblab_serving.app import create_app
from thumblab_serving.loading import encoding
from thumblab_serving.workers.shared_folder import VARIABLE
from thumblab_serving.workers.supervisor import Supervisor

_FOLDER, _ENCODER = "THUMBLAB_BENCHMARK_FOLDER", "THUMBLAB_BENCHMARK_ENCODER"
"""The variables from which a worker gets the settings of the lab."""


def app_of_worker() -> FastAPI:
    """Return a new scoring service. Each worker process calls this function once."""
    return create_app(settings_of(Path(os.environ[_FOLDER]), os.environ[_ENCODER]))


def main(folder: str, encoder: str, port: str, kind: str = "") -> None:
    """Run the service until the process gets SIGTERM."""
    if kind == "two":
        shared = Path(folder, "workers")
        shared.mkdir(mode=0o700)
        os.environ |= {_FOLDER: folder, _ENCODER: encoder, VARIABLE: str(shared)}
        options = config(
            "benchmarks.service.served:app_of_worker", factory=True, port=int(port), log_level="error", workers=2
        )
        Supervisor(options, [options.bind_socket()]).run()
        return
    if kind == "uncached":
        encoding._CACHED_PICTURES = 0
    app = create_app(settings_of(Path(folder), encoder))
    uvicorn.Server(config(app, port=int(port), log_level="error")).run()


if __name__ == "__main__":
    main(*sys.argv[1:])
