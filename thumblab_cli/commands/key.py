"""`thumblab key`: print the API key of the scoring service."""

from typing import TYPE_CHECKING

import click

from thumblab_cli.which_lab import demo_option
from thumblab_core.errors import LabError

if TYPE_CHECKING:
    from thumblab_core.settings import Settings


@click.command()
@demo_option
def command(chosen: "Settings") -> None:
    """Print the API key of this lab's scoring service. The first call generates the key.

    If the service of another lab is running, a message on stderr says so, and no key is generated.
    """
    from thumblab_cli.servers.running_services import another_labs_service
    from thumblab_core.api_key import api_key, kept_key

    key, other = kept_key(chosen), another_labs_service(chosen)
    if key is None and other is not None:
        raise LabError(f"the lab in {chosen.data_dir} has no API key yet; {other}")
    if other is not None:
        click.echo(f"This is the key of the lab in {chosen.data_dir}; {other}", err=True)
    if key is None:
        key = api_key(chosen)
        click.echo(f"Generated a key for the lab in {chosen.data_dir}.", err=True)
    click.echo(key)
