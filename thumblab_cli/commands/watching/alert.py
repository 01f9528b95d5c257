"""`thumblab alert`: try the channels that alerts are sent to."""

import os
from typing import TYPE_CHECKING

import click

from thumblab_cli.which_lab import demo_option

if TYPE_CHECKING:
    from thumblab_core.settings import Settings


@click.group(name="alert")
def command() -> None:
    """Try the channels that alerts are sent to. `thumblab summary` lists the open alerts."""


@command.command()
@demo_option
def test(chosen: "Settings") -> None:
    """Send a test alert to each channel of the settings, and say what each answered.

    The exit status is 1 if a channel did not take it, or if there is no channel.
    """
    from thumblab_core.errors import LabError
    from thumblab_core.keys.secret_texts import secret_texts, without_secrets
    from thumblab_core.monitoring.watch_state import Message
    from thumblab_pipelines.alerts.delivery import channels

    senders = channels(chosen)
    if not senders:
        raise LabError(
            "no channel is set, so alerts go to the log of Dagster's daemon only; set THUMBLAB_ALERT_WEBHOOK_URL, or "
            "THUMBLAB_ALERT_SMTP_HOST and THUMBLAB_ALERT_MAIL_TO (docs/alerts.md)"
        )
    message = Message(title="A test alert", lines=["Somebody ran `thumblab alert test`. Nothing is wrong."])
    failed = False
    for name, send in senders.items():
        try:
            click.echo(f"{name}: sent; {send(message)}")
        except LabError as error:
            failed = True
            click.echo(f"{name}: not sent; {without_secrets(str(error), secret_texts(chosen, os.environ))}")
    if failed:
        raise click.exceptions.Exit(1)
