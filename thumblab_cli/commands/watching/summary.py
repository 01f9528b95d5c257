"""`thumblab summary`: print what happened in the lab during the last day."""

from typing import TYPE_CHECKING

import click

from thumblab_cli.which_lab import demo_option, on_this_lab

if TYPE_CHECKING:
    from thumblab_core.settings import Settings


@click.command(name="summary")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@demo_option
def command(as_json: bool, chosen: "Settings") -> None:
    """Print the daily summary that Dagster sends, for the last 24 hours.

    The summary shows the refreshes of each niche, the quota, the model, the checks with warnings, the disk and the open
    alerts.
    """
    from pydantic import TypeAdapter

    from thumblab_cli.printing.printable import printable
    from thumblab_core.data_folder import require_lab
    from thumblab_core.monitoring.watch_state import read_state
    from thumblab_pipelines.alerts.summary import Summary, summarise
    from thumblab_pipelines.alerts.summary_text import summary_lines

    require_lab(chosen.data_dir)
    summary = summarise(chosen, read_state(chosen.data_dir))
    if as_json:
        click.echo(TypeAdapter(Summary).dump_json(summary, indent=2).decode())
        return
    for line in summary_lines(summary):
        click.echo(printable(on_this_lab(line)))
