"""`thumblab crawl`: estimate the cost of the crawl, add channels to the crawl, and show its progress.

The crawl collects videos for training from many channels on YouTube. The Dagster asset `crawled_videos` does the crawl
itself.
"""

import dataclasses
import json
from typing import TextIO

import click

from thumblab_cli.niche_type import NICHE

_niches = click.option(
    "--niche", "niches", multiple=True, type=NICHE, help="Work on this niche only. Can be given several times."
)


@click.group(name="crawl")
def command() -> None:
    """Estimate the cost of the crawl for training videos, add channels to the crawl, and show its progress.

    To crawl, materialize the asset `crawled_videos` in Dagster. The asset has one partition per niche. Each run
    continues where the previous run stopped.
    """


@command.command()
@_niches
@click.option("--channels", type=click.IntRange(1), help="Channels per niche. Default: THUMBLAB_CRAWL_CHANNELS.")
@click.option(
    "--videos-per-channel",
    type=click.FloatRange(1),
    help="The expected number of videos per channel. Default: the mean of the crawled channels, or 133 (200,000 videos "
    "of 1,500 channels) before the first crawl.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(niches: tuple[str, ...], channels: int | None, videos_per_channel: float | None, as_json: bool) -> None:
    """Print how much quota and how many days the crawl will take. This command does not call YouTube."""
    from thumblab_cli.printing.collection import plan_table, quota_table
    from thumblab_cli.printing.tables import wide_console
    from thumblab_pipelines.collection.crawl_plan import plan_crawl
    from thumblab_pipelines.lab import Lab

    lab = Lab.existing()
    planned = plan_crawl(lab, niches or lab.niches, channels, videos_per_channel)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(planned)))
        return
    console = wide_console()
    console.print(plan_table(planned))
    console.print(quota_table(planned.balances, "Quota today"))
    if planned.units == 0 and planned.searches == 0:
        console.print("Nothing is left to crawl.")
        return
    console.print(
        f"The crawl needs {planned.units:,} units and {planned.searches:,} searches. With the quota that the daily refresh "
        f"leaves, the crawl ends {_in_days(planned.days)}. By search alone, the same videos would take "
        f"{planned.naive_days:,} days.",
        soft_wrap=True,
    )


def _in_days(days: int) -> str:
    return "today" if days <= 1 else f"in {days} days"


@command.command()
@click.argument("channels", nargs=-1)
@click.option("--niche", required=True, type=NICHE)
@click.option(
    "--file",
    "source",
    type=click.File(encoding="utf-8"),
    help="A file with one channel per line, or - for standard input.",
)
def add(channels: tuple[str, ...], niche: str, source: TextIO | None) -> None:
    """Add CHANNELS to the crawl of a niche. The crawl also finds channels by itself, with searches.

    Give ids (UC...), links, @handles, or titles of channels that the lab knows.
    """
    from thumblab_core.errors import LabError
    from thumblab_pipelines.collection.crawl_names import add_channels
    from thumblab_pipelines.lab import Lab

    names = [*channels, *(line.strip() for line in source or () if line.strip())]
    if not names:
        raise LabError("no channel was given; give ids, URLs or @handles, or use --file to name a file that lists them")
    added = add_channels(Lab.open(), niche, names)
    for handle in added.unknown:
        click.echo(f"{handle}: YouTube knows no such channel")
    click.echo(f"{added.new} of {len(names)} channels are new to the crawl of {niche}.")


@command.command()
@_niches
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(niches: tuple[str, ...], as_json: bool) -> None:
    """Show the progress of the crawl, and why channels and videos were left out."""
    from datetime import UTC, datetime, timedelta

    from thumblab_cli.printing.collection import crawl_table, reasons_table
    from thumblab_cli.printing.tables import wide_console
    from thumblab_pipelines.collection import crawl_state
    from thumblab_pipelines.lab import Lab

    lab = Lab.existing()
    before = datetime.now(UTC) - timedelta(days=lab.settings.crawl_again_days)
    with lab.engine.connect() as connection:
        counted = {niche: crawl_state.count(connection, niche, before) for niche in niches or lab.niches}
    if as_json:
        click.echo(json.dumps({niche: dataclasses.asdict(state) for niche, state in counted.items()}))
        return
    console = wide_console()
    console.print(crawl_table(counted))
    if any(state.channels for state in counted.values()):
        console.print(reasons_table(counted))
    else:
        console.print("Nothing has been crawled yet. `thumblab crawl plan` estimates the cost.")
