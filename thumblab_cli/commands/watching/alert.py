"""`thumblab alert`: list and close the open alerts, and send test alerts."""

import os
from typing import TYPE_CHECKING

import click

from thumblab_cli.which_lab import demo_option, on_this_lab

if TYPE_CHECKING:
    from thumblab_core.settings import Settings


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(name="alert")
def command() -> None:
    """List the open alerts, close an alert, or send a test alert. See docs/alerts.md."""


@command.command(name="list")
@json_option
@demo_option
def list_alerts(as_json: bool, chosen: "Settings") -> None:
    """List the open alerts. For each alert, print its cause, what failed and what to do."""
    import json

    from thumblab_cli.printing.printable import printable
    from thumblab_core.data_folder import require_lab
    from thumblab_core.monitoring.watch_state import WatchState, read_state
    from thumblab_pipelines.alerts.book import hobart

    require_lab(chosen.data_dir)
    alerts = (read_state(chosen.data_dir) or WatchState()).alerts.values()
    if as_json:
        click.echo(json.dumps([alert.model_dump(mode="json") for alert in alerts], indent=2))
        return
    for alert in alerts:
        failures = f"{alert.count} failures" if alert.count > 1 else "one failure"
        click.echo(printable(f"{alert.cause}: {alert.what}: {alert.error}"))
        click.echo(f"  {failures}, the last one on {hobart(alert.last_at)}")
        click.echo(printable(f"  {on_this_lab(alert.advice)}"))
    if not alerts:
        click.echo("No alert is open")


@command.command()
@click.argument("cause")
@json_option
@demo_option
def close(cause: str, as_json: bool, chosen: "Settings") -> None:
    """Close an open alert, so that no more messages are sent about it.

    A new failure opens the alert again. An alert about late work stays closed until the work is on time again.

    CAUSE is the name before the first colon in `thumblab alert list`. An alert closes by itself when the failed work
    succeeds, or after seven days without a new failure.
    """
    import json

    from thumblab_core.data_folder import require_lab
    from thumblab_core.errors import LabError
    from thumblab_core.monitoring.watch_state import changing_state
    from thumblab_pipelines.alerts import book

    require_lab(chosen.data_dir)
    with changing_state(chosen.data_dir) as state:
        closed = book.close(state, cause)
        names = ", ".join(state.alerts) or "none"
    if closed is None:
        raise LabError(f"no open alert has the cause {cause!r}; the open alerts are: {names}")
    click.echo(json.dumps(closed.model_dump(mode="json"), indent=2) if as_json else f"Closed: {closed.what}")


@command.command()
@json_option
@demo_option
def test(as_json: bool, chosen: "Settings") -> None:
    """Send a test alert to each alert channel in the settings (a webhook or mail), and print the answer of the channel.

    The exit status is 1 if a channel refuses the alert, or if no alert channel is set.
    """
    import json

    from thumblab_core.errors import LabError
    from thumblab_core.keys.secret_texts import secret_texts, without_secrets
    from thumblab_core.monitoring.watch_state import Message
    from thumblab_pipelines.alerts.delivery import channels

    senders = channels(chosen)
    if not senders:
        raise LabError(
            "no alert channel is set, so alerts go to the log only (`thumblab logs dagster-code`); set "
            "THUMBLAB_ALERT_WEBHOOK_URL, or THUMBLAB_ALERT_SMTP_HOST and THUMBLAB_ALERT_MAIL_TO (docs/alerts.md)"
        )
    message = Message(title="A test alert", lines=["Somebody ran `thumblab alert test`. Nothing is wrong."])
    answers = []
    for name, send in senders.items():
        try:
            sent, answer = True, send(message)
        except LabError as error:
            sent, answer = False, without_secrets(str(error), secret_texts(chosen, os.environ))
        answers.append({"channel": name, "sent": sent, "answer": answer})
        if not as_json:
            click.echo(f"{name}: {'sent' if sent else 'not sent'}; {answer}")
    if as_json:
        click.echo(json.dumps(answers, indent=2))
    if not all(answer["sent"] for answer in answers):
        raise click.exceptions.Exit(1)
