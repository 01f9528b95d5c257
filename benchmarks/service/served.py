"""Run the scoring service for the benchmark.

    python -m benchmarks.service.served FOLDER ENCODER PORT [uncached]

With `uncached`, the service caches no vectors, so each request decodes and encodes its pictures. Sub-scores, sizes and
colours stay cached. The time of a request is then the time to decode, encode, search and rank, plus the overhead of the
service.
"""

import sys
from pathlib import Path

import uvicorn

from benchmarks.service.lab import settings_of
from thumblab_serving.__main__ import config
from thumblab_serving.app import create_app
from thumblab_serving.loading import encoding

if __name__ == "__main__":
    if "uncached" in sys.argv:
        encoding._CACHED_PICTURES = 0
    app = create_app(settings_of(Path(sys.argv[1]), sys.argv[2]))
    uvicorn.Server(config(app, port=int(sys.argv[3]), log_level="error")).run()
