"""Supervise workers that only answer with their process id. Start this script with `python small_service.py PORT`.

The first two workers always work. The environment variable WORKERS_ARE sets how later workers behave. `unlucky` workers
cannot start. `waiting` workers never accept connections, and ignore every signal except SIGKILL.
"""

import os
import sys
from pathlib import Path

import uvicorn

from thumblab_serving.workers import supervisor
from thumblab_serving.workers.supervisor import Supervisor


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        started = Path(os.environ["STARTED"])
        with started.open("a") as file:
            file.write(f"{os.getpid()}\n")
        if os.environ["WORKERS_ARE"] == "unlucky" and len(started.read_text().split()) > 2:
            await send({"type": "lifespan.startup.failed", "message": "the third worker cannot start"})
            return
        if os.environ["WORKERS_ARE"] == "waiting" and len(started.read_text().split()) > 2:
            await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})


if __name__ == "__main__":
    supervisor._FIRST_WAIT_S, supervisor._START_S, supervisor._END_S = 0.1, 6.0, 2.0
    patience = 600 if os.environ["WORKERS_ARE"] == "waiting" else 4
    options = uvicorn.Config(
        "small_service:app", port=int(sys.argv[1]), workers=2, timeout_worker_healthcheck=patience, log_level="warning"
    )
    Supervisor(options, [options.bind_socket()]).run()
