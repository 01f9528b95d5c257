"""`thumblab db`: the database, wherever it is."""

import dataclasses
import json

import click


@click.group()
def command() -> None:
    """Start, stop and migrate the database.

    Without THUMBLAB_DATABASE_URL the lab runs a PostgreSQL of its own, which starts when it is needed and stops when the
    last process that uses it ends.
    """


@command.command()
def start() -> None:
    """Start the lab's own server and keep it running until `thumblab db stop`."""
    from thumblab_core.database import server

    click.echo(server.start(keep=True))


@command.command()
@click.option("--force", is_flag=True, help="Stop it even under processes that use it.")
def stop(force: bool) -> None:
    """Stop the lab's own server, or let it stop with the last process that uses it."""
    from thumblab_core.database import server

    if server.stop(force):
        click.echo("The database is stopped.")
    else:
        click.echo("The database is in use: it stops when the last process that uses it ends. To stop it now: --force")


@command.command("take-over")
@click.confirmation_option(
    prompt="Two servers on one folder destroy it. Are you sure that no other host or container runs the lab on it?"
)
def take_over() -> None:
    """Use a data folder on this host whose last host did not shut the database down.

    For a folder that was moved, a host that was renamed, or one that is gone.
    """
    from thumblab_core.database import server

    other = server.take_over()
    click.echo(f"Taken over from {other}." if other else "The data folder belongs to no other host; nothing was to do.")


@command.command()
@click.option("--database", metavar="NAME", help="Another database on the same server, made when missing.")
@click.option("--driver", default="psycopg", show_default=True, help="With --database: MLflow takes psycopg2.")
def url(database: str | None, driver: str) -> None:
    """Print the SQLAlchemy URL, for programs that should use the same server.

    The lab's own server runs on only while something uses it: `thumblab db start` first.
    """
    from thumblab_core.database import server

    click.echo(server.named_database_url(database, driver) if database else server.database_url())


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Show whether the database runs, where, and what holds it up."""
    from thumblab_core.database import server

    now = server.status()
    if as_json:
        click.echo(json.dumps({**dataclasses.asdict(now), "folder": str(now.folder) if now.folder else None}))
        return
    click.echo(
        f"{'The lab’s own server' if now.embedded else 'An external server'}: {'running' if now.running else 'stopped'}"
    )
    if other := server.other_host():
        click.echo(f"in use by {other}; a data folder belongs to one host at a time")
    elif now.embedded and now.running:
        click.echo("in use" if now.in_use else "not in use", nl=False)
        click.echo(", kept until `thumblab db stop`" if now.kept else ", stops with the last process that uses it")
    if now.folder:
        click.echo(f"folder: {now.folder}")


@command.command()
def migrate() -> None:
    """Bring the tables to the current schema."""
    from thumblab_core.database import schema, server

    schema.migrate(server.database_url())
    click.echo("The database is at the current schema.")
