"""`thumblab db`: start, stop and inspect the database."""

import dataclasses
import json

import click

from thumblab_cli.which_lab import chosen_settings, here, on_this_lab


@click.group()
def command() -> None:
    """Start, stop and migrate the database.

    Without THUMBLAB_DATABASE_URL the lab runs its own PostgreSQL server. This server starts when a command needs it,
    and stops when the last process that uses it ends.
    """


@command.command()
def start() -> None:
    """Start the lab's own server and keep it running until `thumblab db stop` stops it."""
    from thumblab_core.database.urls import database_url
    from thumblab_core.embedded_postgres import server

    server.start(chosen_settings(), keep=True)
    click.echo(database_url(chosen_settings()))


@command.command()
@click.option("--force", is_flag=True, help="Stop the server even while processes use it.")
def stop(force: bool) -> None:
    """Stop the lab's own server. If processes still use the server, the server stops when the last of these processes
    ends.
    """
    from thumblab_core.embedded_postgres import server

    if server.stop(chosen_settings(), force):
        click.echo("The database is stopped.")
    else:
        click.echo("The database is in use: it stops when the last process that uses it ends. To stop it now: --force")


@command.command("take-over")
@click.confirmation_option(
    prompt="Two database servers that use one data folder destroy the data. Are you sure that no other host or container "
    "runs the lab on this folder?"
)
def take_over() -> None:
    """Let this host use a data folder, even if another host used it last and did not shut down its database.

    Use this command after the folder was moved, after the host was renamed, or if the last host no longer exists.
    """
    from thumblab_core.embedded_postgres import server

    previous_host = server.take_over(chosen_settings())
    if previous_host:
        click.echo(f"Taken over from {previous_host}.")
    else:
        click.echo("The data folder belongs to no other host; there was nothing to do.")


@command.command()
@click.option(
    "--database",
    metavar="NAME",
    help="The name of another database on the same server. A missing database is created.",
)
@click.option(
    "--driver",
    default="psycopg",
    show_default=True,
    help="With --database: the driver in the URL. MLflow needs psycopg2.",
)
def url(database: str | None, driver: str) -> None:
    """Print the SQLAlchemy URL of the database, for other programs that should use the same server.

    Run `thumblab db start` first, because the lab's own server runs only while a process uses it.
    """
    from thumblab_core.database.urls import database_url, named_database_url

    chosen = chosen_settings()
    click.echo(named_database_url(database, driver, chosen) if database else database_url(chosen))


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Show whether the database runs, in which folder it is, and whether it keeps running when no process uses it."""
    from thumblab_core.database.urls import status as database_status
    from thumblab_core.embedded_postgres.server import other_host

    state = database_status(chosen_settings())
    if as_json:
        folder = str(state.folder) if state.folder else None
        click.echo(json.dumps({**dataclasses.asdict(state), "folder": folder}))
        return
    server = "The lab’s own server" if state.embedded else "An external server"
    stopped = "stopped" if state.embedded else "cannot be used"
    click.echo(f"{server}: {'running' if state.running else stopped}")
    if state.trouble:
        click.echo(on_this_lab(state.trouble))
    holder = other_host(chosen_settings()) if state.embedded else None
    if holder is not None:
        click.echo(f"in use by {holder}; a data folder belongs to one host at a time")
    elif state.embedded and state.running:
        click.echo("in use" if state.in_use else "not in use", nl=False)
        click.echo(f", kept until `{here('db stop')}`" if state.kept else ", stops with the last process that uses it")
    if state.folder:
        click.echo(f"folder: {state.folder}")


@command.command()
def migrate() -> None:
    """Migrate the tables of an existing lab or of an external database to the current schema."""
    from thumblab_core.data_folder import require_lab
    from thumblab_core.database import schema
    from thumblab_core.database.urls import database_url

    chosen = chosen_settings()
    if chosen.database_url is None:
        require_lab(chosen.data_dir)
    schema.migrate(database_url(chosen))
    click.echo("The database is at the current schema.")
