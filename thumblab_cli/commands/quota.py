"""`thumblab quota`: show what is left of today's YouTube quota."""

import dataclasses
import json
from datetime import timedelta

import click

from thumblab_cli.which_lab import chosen_settings


@click.command(name="quota")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show how much of today's YouTube Data API quota is spent and left.

    YouTube counts the quota in buckets, such as one for searches.

    A day begins at midnight in California, because YouTube resets the quota at this time.
    """
    from datetime import UTC, datetime

    from thumblab_cli.printing.collection import quota_table
    from thumblab_cli.printing.tables import wide_console
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.youtube.quota import Ledger, next_reset, pacific_day

    lab = Lab.existing(chosen_settings())
    now = datetime.now(UTC)
    balances = Ledger.of(lab.engine, lab.settings).balances(now)
    if as_json:
        rows = [dataclasses.asdict(balance) | {"left": balance.left} for balance in balances]
        day = pacific_day(now).isoformat()
        click.echo(json.dumps({"day": day, "resets_at": next_reset(now).isoformat(), "buckets": rows}))
        return
    console = wide_console()
    console.print(quota_table(balances, f"YouTube quota of {pacific_day(now)} (California)"))
    console.print(
        f"YouTube resets the quota at {next_reset(now):%Y-%m-%d %H:%M} UTC, "
        f"in {_hours_and_minutes(next_reset(now) - now)}."
    )


def _hours_and_minutes(duration: timedelta) -> str:
    hours, minutes = divmod(int(duration.total_seconds()) // 60, 60)
    return f"{hours} h {minutes} min"
