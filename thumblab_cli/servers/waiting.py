"""Wait for servers and show the progress."""

import time
from collections.abc import Sequence
from datetime import datetime

from rich.console import Console

from thumblab_cli.servers.supervisor import Server, Supervisor

_QUIET_SECONDS = 10.0
"""The seconds between two lines of progress, if the output is not a terminal."""


def wait_for(console: Console, supervisor: Supervisor, servers: Sequence[Server]) -> None:
    """Wait until all `servers` answer.

    While waiting, a terminal shows a server that does not answer yet, the time when the waiting began, and the seconds
    since the start of the server. If the output is not a terminal, a line with these three values is printed every ten
    seconds. Raise LabError if a server ends, or if one of `servers` does not answer in time.
    """
    with console.status("starting") as status:
        for server in servers:
            since, last_printed = datetime.now().astimezone(), time.monotonic()

            def report(seconds: float, name: str = server.name, since: datetime = since) -> None:
                nonlocal last_printed
                line = f"waiting for {name} since {since:%H:%M:%S} (started {seconds:.0f} s ago)"
                status.update(line)
                if not console.is_terminal and time.monotonic() - last_printed >= _QUIET_SECONDS:
                    last_printed = time.monotonic()
                    console.print(line, highlight=False)

            supervisor.wait(server, report)
            if server.is_ready is not None:
                console.print(f"{server.name} answers", highlight=False)
