"""`thumblab predictions`: show and delete the answers that the scoring service kept."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import click

from thumblab_cli.which_lab import chosen_settings

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def command() -> None:
    """Show and delete the answers that the scoring service kept.

    The service keeps its answers if THUMBLAB_KEEP_PREDICTIONS is true. The Dagster asset `prediction_quality` compares
    the kept answers with the outcomes of the candidates. See docs/predictions.md.
    """


@command.command("list")
@click.option("--channel", help="Limit the output to this channel: its id, exact title, @handle or link.")
@click.option(
    "--most",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="The largest number of predictions to show.",
)
@_json
def list_command(channel: str | None, most: int, as_json: bool) -> None:
    """List the kept predictions, the newest first. Each prediction is shown with its candidates and its outcomes."""
    from thumblab_cli.printing.predictions import print_predictions
    from thumblab_cli.printing.tables import wide_console
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.predictions.store import (
        channel_of_predictions,
        count_predictions,
        read_outcomes,
        read_predictions,
    )

    lab = Lab.existing(chosen_settings())
    channel_id = None if channel is None else channel_of_predictions(lab, channel)
    with lab.engine.connect() as connection:
        total = count_predictions(connection, channel_id)
        kept = read_predictions(connection, channel_id, most)
        outcomes = read_outcomes(connection, [prediction.prediction_id for prediction in kept])
    if as_json:
        listed = [asdict(prediction) | {"outcomes": outcomes.get(prediction.prediction_id, [])} for prediction in kept]
        click.echo(json.dumps({"total": total, "predictions": listed}, indent=2, default=str))
        return
    if kept:
        print_predictions(wide_console(), kept, outcomes)
        if total > len(kept):
            click.echo(f"{len(kept)} of {total:,} predictions are shown; --most shows more.")
        return
    of_channel = "" if channel is None else " of this channel"
    click.echo(
        f"No prediction{of_channel} is kept. The scoring service keeps its answers if it was started with "
        "THUMBLAB_KEEP_PREDICTIONS=true."
    )


@command.command()
@click.option("--channel", help="Delete only the predictions for this channel: its id, exact title, @handle or link.")
@click.option(
    "--before",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Delete only the predictions made before this day (YYYY-MM-DD, UTC).",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@_json
def purge(channel: str | None, before: datetime | None, yes: bool, as_json: bool) -> None:
    """Delete kept predictions, with their candidates and outcomes. Without options, delete all predictions.

    A running service writes its answers to the database with a delay, so it may still add answers after the deletion.
    """
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.predictions.store import channel_of_predictions, purge_predictions

    lab = Lab.existing(chosen_settings())
    channel_id = None if channel is None else channel_of_predictions(lab, channel)
    if not yes:
        which = "all kept predictions" if channel is None and before is None else "these kept predictions"
        click.confirm(f"Delete {which}?", abort=True, err=True)
    deleted = purge_predictions(lab, channel_id, None if before is None else before.replace(tzinfo=UTC))
    if as_json:
        click.echo(json.dumps({"deleted": deleted}))
    else:
        click.echo(f"{deleted:,} predictions are deleted.")
