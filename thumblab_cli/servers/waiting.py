"""Waiting for servers, and saying so."""

import time
from collections.abc import Sequence
from datetime import datetime

from rich.console import Console

from thumblab_cli.servers.processes import Server, Supervisor

_QUIET_SECONDS = 10.0


def wait_for(console: Console, supervisor: Supervisor, servers: Sequence[Server]) -> None:
    """Wait until each of the servers answers. A terminal shows all the time which one is waited for, and since when; what is
    no terminal gets a line every ten seconds. Raises `LabError` as `Supervisor.wait` does."""
    with console.status("starting") as status:
        for server in servers:
            since, said = datetime.now().astimezone(), time.monotonic()

            def tell(seconds: float, name: str = server.name, since: datetime = since) -> None:
                nonlocal said
                line = f"waiting for {name} since {since:%H:%M:%S} (started {seconds:.0f} s ago)"
                status.update(line)
                if not console.is_terminal and time.monotonic() - said >= _QUIET_SECONDS:
                    said = time.monotonic()
                    console.print(line, highlight=False)

            supervisor.wait(server, tell)
            if server.ready is not None:
                console.print(f"{server.name} answers", highlight=False)
