"""thumblab import-reach: the true click-through rate of one's own videos, from the YouTube Reporting API."""

import json
from dataclasses import asdict

import click


@click.command(name="import-reach")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(as_json: bool) -> None:
    """Read what the YouTube Reporting API tells of your own channel's reach, day by day.

    Needs a sign-in of the channel's owner in THUMBLAB_YOUTUBE_OWNER_CREDENTIALS; docs/own-channel.md says how to make one.
    The first run asks YouTube for the reports, which come up to 48 hours later; each later one reads those that are new.
    """
    from rich.console import Console

    from thumblab_cli.printing.imports import print_problems
    from thumblab_cli.printing.tables import progress_bars
    from thumblab_core.errors import LabError
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.owner_ctr.reach import import_reach

    console = Console(stderr=as_json)
    with progress_bars(console) as listener:
        found = import_reach(Lab.open(), listener)
    if as_json:
        click.echo(json.dumps(asdict(found), indent=2, default=str))
    else:
        print_problems(console, found.problems)
        for remark in found.remarks:
            console.print(f"note: {remark}", markup=False, highlight=False)
        if found.note:
            console.print(found.note, markup=False, highlight=False)
        if found.reports:
            console.print(
                f"{found.reports} reports read, {found.corrected} of them corrections: {found.first_day} to "
                f"{found.last_day}, {found.new_days} new days, {found.videos} videos with a true CTR, {found.in_library} of "
                f"them in the library already, {len(found.problems)} rows skipped",
                highlight=False,
            )
    if found.refused:
        raise LabError("; ".join(found.refused))
