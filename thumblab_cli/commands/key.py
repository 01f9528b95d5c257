"""`thumblab key`: print the lab's own API key, and make, list, rotate and revoke named keys for the scoring service."""

import json
from typing import TYPE_CHECKING

import click

from thumblab_cli.which_lab import demo_option, here
from thumblab_core.data_folder import require_lab
from thumblab_core.errors import LabError
from thumblab_core.keys.named_keys import MOST_PER_MINUTE, OWN_KEY, SCOPES, NamedKeys, Scope

if TYPE_CHECKING:
    from thumblab_core.settings import Settings

_SHOWN_ONCE = "Keep it now: the lab stores only its hash, so it cannot be shown again."


@click.group(invoke_without_command=True)
@demo_option
@click.pass_context
def command(ctx: click.Context, chosen: "Settings") -> None:
    """Print the API key of this lab's scoring service. The first call generates the key. This key has all scopes.

    If the service of another lab is running, a message on stderr says so, and no key is generated.

    The subcommands manage named keys for other people and programs. A running service uses each change immediately.
    """
    if ctx.invoked_subcommand is None:
        _print_own_key(chosen)
    elif ctx.params["demo"]:
        name = ctx.invoked_subcommand
        raise click.UsageError(f"give --demo and --catalogue after the subcommand: thumblab key {name} --demo")


def _require_demo(chosen: "Settings") -> None:
    """Raise `LabError` if the user has chosen a demo's lab, and this lab does not exist.

    The user's own lab need not exist. A person may make the API key of the lab before the lab exists, for example for a
    server that starts later.
    """
    from thumblab_core.settings import settings

    if chosen.data_dir != settings().data_dir:
        require_lab(chosen.data_dir)


def _print_own_key(chosen: "Settings") -> None:
    from thumblab_cli.servers.running_services import another_labs_service
    from thumblab_core.keys.generated_key import api_key, kept_key

    key, other = kept_key(chosen), another_labs_service(chosen)
    if key is None and other is not None:
        raise LabError(f"the lab in {chosen.data_dir} has no API key yet; {other}")
    if other is not None:
        click.echo(f"This is the key of the lab in {chosen.data_dir}; {other}", err=True)
    if key is None:
        _require_demo(chosen)
        key = api_key(chosen)
        click.echo(f"Generated a key for the lab in {chosen.data_dir}.", err=True)
    click.echo(key)


@command.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    default=("score",),
    show_default=True,
    help="What the key allows. score: rank pictures, and read and store experiments. admin: change what the lab "
    "serves. For both, "
    "give the option twice.",
)
@click.option(
    "--requests-per-minute",
    type=click.IntRange(1, MOST_PER_MINUTE),
    help="Default: THUMBLAB_REQUESTS_PER_MINUTE of the service.",
)
@demo_option
def add(chosen: "Settings", name: str, scopes: tuple[Scope, ...], requests_per_minute: int | None) -> None:
    """Make a key called NAME, and print it on stdout. The name appears in logs and metrics. The key never appears.

    \b
    For example:
      thumblab key add laptop
      thumblab key add deploy --scope score --scope admin --requests-per-minute 60
    """
    _require_demo(chosen)
    key = NamedKeys(chosen).add(name, scopes, requests_per_minute)
    click.echo(f"Made the key {name} for the lab in {chosen.data_dir}. {_SHOWN_ONCE}", err=True)
    click.echo(key)


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@demo_option
def list_command(chosen: "Settings", as_json: bool) -> None:
    """List the names of the keys, the lab's own key (default) first. The keys themselves are not shown."""
    from thumblab_cli.printing.tables import table, wide_console

    keys = NamedKeys(chosen).all()
    if as_json:
        own = {"name": OWN_KEY, "scopes": SCOPES, "requests_per_minute": None, "made_at": None}
        click.echo(
            json.dumps([own, *(key.model_dump(mode="json", exclude={"sha256", "id"}) for key in keys)], indent=2)
        )
        return
    words = ("name", "scopes", "made")
    rows = table("name", "scopes", "requests/minute", "made", words=words)
    usual = "-" if chosen.requests_per_minute is None else f"{chosen.requests_per_minute:,}"
    rows.add_row(OWN_KEY, ", ".join(SCOPES), usual, "-")
    for key in keys:
        limit = usual if key.requests_per_minute is None else f"{key.requests_per_minute:,}"
        rows.add_row(key.name, ", ".join(key.scopes), limit, f"{key.made_at:%Y-%m-%d %H:%M}")
    wide_console().print(rows)


@command.command()
@click.argument("name")
@demo_option
def rotate(chosen: "Settings", name: str) -> None:
    """Replace the key called NAME with a new key, and print the new key. The old key stops working immediately.

    `default` is the name of the lab's own key. If you replace this key, the page in the browser needs the new key.
    """
    from thumblab_core.keys.generated_key import rotate_generated_key

    require_lab(chosen.data_dir)
    if name == OWN_KEY:
        key, note = rotate_generated_key(chosen), f"`{here('key')}` prints it again."
    else:
        key, note = NamedKeys(chosen).rotate(name), _SHOWN_ONCE
    click.echo(f"Replaced the key {name} of the lab in {chosen.data_dir}. {note}", err=True)
    click.echo(key)


@command.command()
@click.argument("name")
@demo_option
def revoke(chosen: "Settings", name: str) -> None:
    """Revoke the key called NAME.

    A running service refuses the key from the next request on, and cancels the key's batches.
    """
    if name == OWN_KEY:
        raise LabError(
            "the lab's own key cannot be revoked, because the page needs it; replace it with `thumblab key rotate default`"
        )
    require_lab(chosen.data_dir)
    NamedKeys(chosen).revoke(name)
    click.echo(f"Revoked the key {name} of the lab in {chosen.data_dir}.")
