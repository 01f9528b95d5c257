"""`thumblab import-reach`: import the true click-through rates of your own videos from the YouTube Reporting API."""

import json
from dataclasses import asdict

import click


@click.command(name="import-reach")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(as_json: bool) -> None:
    """Import the daily impressions and click-through rates of your own videos from the YouTube Reporting API.

    The channel's owner must have signed in. THUMBLAB_YOUTUBE_OWNER_CREDENTIALS is the path of the file with the
    sign-in. docs/own-channel.md says how to make this file.

    The first run requests the reports from YouTube. YouTube makes the first report up to 48 hours later. Each later run
    reads the new reports.
    """
    from rich.console import Console

    from thumblab_cli.printing.imports import print_problems
    from thumblab_cli.printing.tables import progress_bars
    from thumblab_core.errors import LabError
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.owner_ctr.reach import import_reach

    console = Console(stderr=as_json)
    with progress_bars(console) as listener:
        result = import_reach(Lab.open(), listener)
    if as_json:
        click.echo(json.dumps(asdict(result), indent=2, default=str))
    else:
        print_problems(console, result.problems)
        for remark in result.remarks:
            console.print(f"note: {remark}", markup=False, highlight=False)
        if result.note:
            console.print(result.note, markup=False, highlight=False)
        if result.reports:
            console.print(
                f"Reports read: {result.reports} ({result.corrected} of them corrections), from {result.first_day} to "
                f"{result.last_day}; new days: {result.new_days}. Videos with a true CTR: {result.videos}, of which "
                f"{result.in_library} are in the library already. Rows skipped: {len(result.problems)}.",
                highlight=False,
            )
    if result.refused:
        raise LabError("; ".join(result.refused))
