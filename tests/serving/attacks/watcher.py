"""Watch a service from a separate process: its memory, and the time that `/health` takes.

    python watcher.py PID URL

The script prints a line when it begins to watch, and stops when its standard input ends. Then it prints a line of JSON.
The JSON has three parts. The first is the most memory, in resident bytes, that the service and its child processes
used. The other two parts are the seconds of each request to `/health`, and the failures.

The clients of an attack run in another process, so that they do not make the measured times longer.
"""

import json
import sys
import threading
import time

import httpx
import psutil


def resident(service: psutil.Process) -> int:
    """Return the resident bytes of the service and of its child processes."""
    total: int = service.memory_info().rss
    for child in service.children(recursive=True):
        try:
            total += child.memory_info().rss
        except psutil.NoSuchProcess:  # The child has ended.
            continue
    return total


def main() -> None:
    service, url = psutil.Process(int(sys.argv[1])), sys.argv[2]
    stop, most = threading.Event(), [resident(service)]

    def weigh() -> None:
        while not stop.wait(0.01):
            most[0] = max(most[0], resident(service))

    def wait_for_end() -> None:
        sys.stdin.read()
        stop.set()

    for work in (weigh, wait_for_end):
        threading.Thread(target=work, daemon=True).start()
    print("watching", flush=True)
    health_s: list[float] = []
    failures: list[str] = []
    while True:
        started = time.perf_counter()
        try:  # Each request uses a new connection, as the requests of a load balancer may do.
            reply = httpx.get(f"{url}/health", timeout=30, trust_env=False)
            if reply.status_code != 200:
                failures.append(reply.text)
        except httpx.HTTPError as error:
            failures.append(repr(error))
        health_s.append(time.perf_counter() - started)
        if stop.wait(0.05):
            break
    print(json.dumps({"most": most[0], "health_s": health_s, "failures": failures}))


if __name__ == "__main__":
    main()
