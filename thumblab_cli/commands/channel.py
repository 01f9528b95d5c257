"""`thumblab channel`: the histories of single channels, which adapt what the service answers to them."""

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thumblab_core.errors import LabError
from thumblab_core.niches import NICHES

if TYPE_CHECKING:  # what follows is imported inside functions, so that `thumblab --help` stays fast
    from rich.console import Console

    from thumblab_pipelines.channels.add import AddedChannel

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def command() -> None:
    """Let the lab learn from the videos of a channel, so that answers for it are adapted to its own viewers.

    A running service uses what was added at its next request, see docs/own-channel.md.
    """


@command.command()
@click.argument("channel", required=False)
@click.option(
    "--catalogue",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Import this folder first (see `thumblab import`); CHANNEL may be left out where it holds one.",
)
@click.option("--niche", type=click.Choice(NICHES), help="Where to collect the videos of a channel that the lab lacks.")
@click.option("--refresh", is_flag=True, help="Collect its newest uploads first, also where the lab has some.")
@_json
def add(channel: str | None, catalogue: Path | None, niche: str | None, refresh: bool, as_json: bool) -> None:
    """Learn the history of CHANNEL (its id, exact title or @handle) for the served model, and serve it.

    Says whether it helps: learnt from the first 80 % of the channel's videos, it is asked for the order of the last 20 %.
    """
    from thumblab_cli.printing.imports import print_import
    from thumblab_cli.printing.tables import progress_bars, whole_console
    from thumblab_core.ranking.adapters import LEAST_VIDEOS
    from thumblab_pipelines.channels.add import add_channel
    from thumblab_pipelines.lab import Lab

    console = whole_console(stderr=as_json)
    with progress_bars(console) as listener:
        added = add_channel(Lab.open(), channel, catalogue, niche, refresh, listener)
    if as_json:
        said = {**dataclasses.asdict(added.fitted), "encoded": added.encoded, "stopped": added.stopped}
        click.echo(json.dumps(said | {"imported": added.imported and dataclasses.asdict(added.imported)}, indent=2))
    else:
        if added.imported is not None:
            print_import(console, added.imported)
        _show(console, added)
    if not added.fitted.adapted:
        raise LabError(
            f"{added.fitted.videos} videos of {added.fitted.title} can be used, and a history takes {LEAST_VIDEOS}; "
            "answers are not adapted to it"
        )


@command.command("list")
@_json
def list_command(as_json: bool) -> None:
    """Show the channels whose history was added, and whether the served model uses it."""
    from thumblab_pipelines.channels.add import list_channels
    from thumblab_pipelines.lab import Lab

    found = list_channels(Lab.open())
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in found]))
        return
    for one in found:
        until = "" if one.newest is None else f" to {one.newest[:10]}"
        state = "in use" if one.fault is None else f"not used: {one.fault}"
        click.echo(f"{one.channel_id} {_printable(one.title)}: {one.videos} videos{until}, {state}")
    if not found:
        click.echo("No history was added; `thumblab channel add CHANNEL` adds one.")


@command.command()
@click.argument("channel")
def remove(channel: str) -> None:
    """Withdraw and delete the history that was added of CHANNEL (its id or exact title); its videos stay in the lab.

    What the served model itself learnt of the channel at training goes on being used.
    """
    from thumblab_pipelines.channels.add import remove_channel
    from thumblab_pipelines.lab import Lab

    click.echo(f"The history of {remove_channel(Lab.open(), channel)} is removed.")


def _show(console: "Console", added: "AddedChannel") -> None:
    fitted = added.fitted
    lines = [f"{_printable(fitted.title)} ({fitted.channel_id})"]
    lines.append(f"{fitted.videos} videos used" + (f", the newest of {fitted.newest[:10]}" if fitted.newest else ""))
    lines += [f"{count} left out: {reason}" for reason, count in fitted.left_out.items()]
    if added.stopped is not None:
        lines.append(f"not all uploads were collected: {added.stopped}")
    if added.encoded:
        lines.append(f"{added.encoded} vectors were made")
    if fitted.adapted:
        there = "nothing has changed since" if fitted.unchanged else f"learnt in {fitted.seconds:.2f} s"
        lines.append(f"history {fitted.release} is served ({there}); score with --channel {fitted.channel_id}")
        if fitted.check is None:
            lines.append("Its newest videos make too few pairs to say whether the history helps.")
        else:
            lines.append(f"{fitted.check.verdict}.")
            if fitted.check.gained <= 0:
                lines.append(f"`thumblab channel remove {fitted.channel_id}` withdraws it.")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _printable(title: str) -> str:
    """A title is whatever its owner wrote, and a terminal obeys what it is sent."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in title)
