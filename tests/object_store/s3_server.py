"""Serve moto's S3 on a port, one request at a time.

A write may have a condition, such as that the object does not exist yet. moto first checks the condition and then
writes. If two requests ran at the same time, both could pass the check before one of them writes. In a real store, no
other write can come between the check and the write. This server therefore lets only one request run at a time.

With the option `--ignore-conditions`, the server ignores conditions, like an old server that does not know conditional
writes. With `--latency-ms=20`, each request first waits for 20 ms. Several requests can wait at the same time.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

_CONDITIONS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")


class OneAtATime:
    def __init__(self, application: Any, ignore_conditions: bool, latency_s: float) -> None:
        self._application = application
        self._ignores = ignore_conditions
        self._latency_s = latency_s
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._ignores and environ["REQUEST_METHOD"] == "PUT":
            for name in _CONDITIONS:
                environ.pop(name, None)
        time.sleep(self._latency_s)
        with self._lock:
            return list(self._application(environ, start_response))


if __name__ == "__main__":
    waits = [float(option.partition("=")[2]) / 1000 for option in sys.argv if option.startswith("--latency-ms=")]
    served = OneAtATime(DomainDispatcherApplication(create_backend_app), "--ignore-conditions" in sys.argv, sum(waits))
    run_simple("127.0.0.1", int(sys.argv[1]), served, threaded=True)
