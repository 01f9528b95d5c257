"""`thumblab channel`: add, list and remove channel adapters. An adapter changes the answers for one channel."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thumblab_core.errors import LabError
from thumblab_core.niches import NICHES

if TYPE_CHECKING:  # Only type checkers import these modules here, which keeps `thumblab --help` fast.
    from rich.console import Console

    from thumblab_pipelines.channels.add import AddedChannel

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def command() -> None:
    """Learn from the videos of a channel, and adapt the answers for this channel to the taste of its viewers.

    A running service uses a new channel adapter from the next request on. See docs/own-channel.md.
    """


@command.command()
@click.argument("channel", required=False)
@click.option(
    "--catalogue",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Import this folder first (see `thumblab import`). CHANNEL may be left out if the folder has one channel.",
)
@click.option("--niche", type=click.Choice(NICHES), help="The niche for a channel that is new to the lab.")
@click.option("--refresh", is_flag=True, help="Collect the newest uploads first, even if the lab has some already.")
@_json
def add(channel: str | None, catalogue: Path | None, niche: str | None, refresh: bool, as_json: bool) -> None:
    """Fit an adapter of the served model to the videos of CHANNEL, and serve this adapter.

    CHANNEL is the channel's id, its exact title, its @handle or its link.

    Prints whether the adapter helps. To measure this, the lab fits an adapter to the oldest 80 % of the channel's
    videos. It then compares how well the model orders pairs of the newest 20 % of the videos, with the adapter and
    without it.
    """
    from thumblab_cli.printing.imports import print_import
    from thumblab_cli.printing.tables import progress_bars, wide_console
    from thumblab_core.ranking.adapters import LEAST_VIDEOS
    from thumblab_pipelines.channels.add import add_channel
    from thumblab_pipelines.lab import Lab

    console = wide_console(stderr=as_json)
    with progress_bars(console) as listener:
        added = add_channel(Lab.open(), channel, catalogue, niche, refresh, listener)
    if as_json:
        report = {**dataclasses.asdict(added.fitted), "encoded": added.encoded, "stopped": added.stopped}
        report["imported"] = None if added.imported is None else dataclasses.asdict(added.imported)
        click.echo(json.dumps(report, indent=2))
    else:
        if added.imported is not None:
            print_import(console, added.imported)
        _show(console, added)
    if not added.fitted.adapted:
        raise LabError(
            f"only {added.fitted.videos} videos of {added.fitted.title} can be used, but an adapter needs "
            f"{LEAST_VIDEOS}; answers are not adapted to the channel"
        )


@command.command("list")
@_json
def list_command(as_json: bool) -> None:
    """List the channel adapters that were added, and say of each whether the served model uses it."""
    from thumblab_cli.printing.printable import printable
    from thumblab_pipelines.channels.add import list_channels
    from thumblab_pipelines.lab import Lab

    adapters = list_channels(Lab.open())
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(adapter) for adapter in adapters]))
        return
    for adapter in adapters:
        until = "" if adapter.newest is None else f" to {adapter.newest[:10]}"
        state = "in use" if adapter.fault is None else f"not used: {adapter.fault}"
        click.echo(f"{adapter.channel_id} {printable(adapter.title)}: {adapter.videos} videos{until}, {state}")
    if not adapters:
        click.echo("No channel adapter was added; `thumblab channel add CHANNEL` adds one.")


@command.command()
@click.argument("channel")
def remove(channel: str) -> None:
    """Delete the adapter of CHANNEL that `thumblab channel add` made, and stop using it. The channel's videos stay in
    the lab.

    CHANNEL is the channel's id, its exact title, its @handle or its link. The training of a model may also make an
    adapter for a channel. Such an adapter is part of the model and stays in use.
    """
    from thumblab_pipelines.channels.add import remove_channel
    from thumblab_pipelines.lab import Lab

    click.echo(f"The channel adapter of {remove_channel(Lab.open(), channel)} is removed.")


def _show(console: "Console", added: "AddedChannel") -> None:
    from thumblab_cli.printing.printable import printable

    fitted = added.fitted
    lines = [f"{printable(fitted.title)} ({fitted.channel_id})"]
    lines.append(f"{fitted.videos} videos used" + (f", the newest of {fitted.newest[:10]}" if fitted.newest else ""))
    if fitted.compared:
        lines.append(f"{fitted.compared} pairs of pictures used that were compared on one video")
    lines += [f"{count} left out: {reason}" for reason, count in fitted.left_out.items()]
    if added.stopped is not None:
        lines.append(f"not all uploads were collected: {added.stopped}")
    if added.encoded:
        lines.append(f"{added.encoded} vectors were made")
    if fitted.adapted:
        state = "unchanged" if fitted.unchanged else f"fitted in {fitted.seconds:.2f} s"
        lines.append(f"adapter {fitted.release} is served ({state}); score with --channel {fitted.channel_id}")
        if fitted.check is None:
            lines.append("Its newest videos make too few pairs to measure whether the adapter helps.")
        else:
            lines.append(f"{fitted.check.summary}.")
            if fitted.check.gained <= 0:
                lines.append(f"`thumblab channel remove {fitted.channel_id}` withdraws it.")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
