"""Serve moto's S3 on a port, one request at a time.

moto checks the condition of a write and then writes, and two threads may do both at once. Real stores make this one
step, so this server lets only one request run at a time. With `--ignore-conditions` it answers like an old server that
does not know conditional writes.
"""

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

_CONDITIONS = ("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH")


class OneAtATime:
    def __init__(self, application: Any, ignore_conditions: bool) -> None:
        self._application = application
        self._ignores = ignore_conditions
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if self._ignores and environ["REQUEST_METHOD"] == "PUT":
            for name in _CONDITIONS:
                environ.pop(name, None)
        with self._lock:
            return list(self._application(environ, start_response))


if __name__ == "__main__":
    served = OneAtATime(DomainDispatcherApplication(create_backend_app), "--ignore-conditions" in sys.argv)
    run_simple("127.0.0.1", int(sys.argv[1]), served, threaded=True)
