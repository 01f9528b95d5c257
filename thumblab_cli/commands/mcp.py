"""`thumblab mcp`: let an assistant use the scoring service through the Model Context Protocol (MCP)."""

from typing import TYPE_CHECKING

import click

from thumblab_cli.which_lab import demo_option

if TYPE_CHECKING:
    from thumblab_client import AsyncClient
    from thumblab_core.settings import Settings


@click.command("mcp")
@demo_option
def command(chosen: "Settings") -> None:
    """Serve six tools to an assistant, over standard input and output: score, packages, similar, search_library,
    explain and niche_report.

    The assistant's program starts this command; docs/clients.md says how to set it up. The tools use the service at
    THUMBLAB_SERVING_URL. If this variable is not set, the tools use the service of this lab's `thumblab up`. `thumblab
    up` may start later than this command.
    """
    from thumblab_client.mcp_server.server import build

    build(lambda: _connect(chosen)).run("stdio")


def _connect(settings: "Settings") -> "AsyncClient":
    """Return a client of the lab's running service. Raise `ThumblabError` if there is no such service or no key."""
    from thumblab_client import AsyncClient, ThumblabError
    from thumblab_core.errors import LabError
    from thumblab_core.keys.generated_key import kept_key
    from thumblab_core.running import running_lab

    running = running_lab(settings.data_dir)
    url = settings.serving_url or (None if running is None else running.scoring)
    if url is None:
        raise ThumblabError(
            f"no service runs for the lab in {settings.data_dir}; start it with `thumblab up`, or set THUMBLAB_SERVING_URL"
        )
    try:
        key = kept_key(settings)
    except LabError as error:
        raise ThumblabError(str(error)) from None
    if key is None:
        raise ThumblabError(
            f"the lab in {settings.data_dir} has no API key; set THUMBLAB_API_KEY to the key of the service at {url}"
        )
    return AsyncClient(url, key)
