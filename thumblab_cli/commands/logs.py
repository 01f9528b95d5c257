"""`thumblab logs`: show what the servers of `thumblab up` have logged."""

import time
from typing import TYPE_CHECKING

import click

from thumblab_cli.which_lab import demo_option

if TYPE_CHECKING:
    from thumblab_core.settings import Settings


_PAUSE_S = 0.25
"""With `--follow`, the log files are read again after this number of seconds."""


@click.command(name="logs")
@click.argument("servers", nargs=-1, metavar="[SERVER]...")
@click.option("-f", "--follow", is_flag=True, help="Keep printing new lines until Ctrl-C.")
@click.option("-n", "--lines", default=100, show_default=True, type=click.IntRange(0), help="The number of last lines.")
@demo_option
def command(servers: tuple[str, ...], follow: bool, lines: int, chosen: "Settings") -> None:
    """Show the last lines of the logs of all servers, or of each SERVER, in the order of time.

    The servers are dagster, dagster-code, dagster-daemon, mlflow and scoring. The log of `up` says which servers ended
    and were started again. The output of Dagster's runs is in the log of dagster-code.
    """
    from thumblab_cli.printing.printable import printable
    from thumblab_cli.servers import logs
    from thumblab_core.data_folder import require_lab
    from thumblab_core.errors import LabError

    require_lab(chosen.data_dir)
    known = logs.servers_with_logs(chosen.data_dir)
    if not known:
        raise LabError(f"there are no logs in {chosen.data_dir / 'logs'} yet; `thumblab up` writes them")
    for server in servers:
        if server not in known:
            if server == "up":
                raise LabError("`up` has logged nothing yet, because no server has ended")
            raise LabError(f"{server!r} has no log; the servers with a log are {', '.join(known)}")
    wanted = list(dict.fromkeys(servers)) or known
    width = max(map(len, wanted))

    def show(found: list[logs.Line]) -> None:
        for line in found:
            name = f"{line.server:<{width}} " if len(wanted) > 1 else ""
            click.echo(f"{line.local_time()} {name}{printable(line.text.expandtabs(4))}")

    # Begin to follow the logs first, and read their last lines afterwards. In the other order, a line that a server
    # adds between the two steps would be missed.
    added = logs.Followed(chosen.data_dir, wanted) if follow else None
    last = logs.last_lines(chosen.data_dir, wanted, lines)
    show(last)
    if added is None:
        return
    show([line for line in added.read() if line not in last])
    while True:
        time.sleep(_PAUSE_S)
        show(added.read())
