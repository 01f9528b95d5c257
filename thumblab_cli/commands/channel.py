"""`thumblab channel`: add, list and remove channel adapters. An adapter changes the answers for one channel."""

import dataclasses
import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thumblab_cli.dagster_told import dagster_told
from thumblab_cli.niche_type import NICHE
from thumblab_cli.studio_options import as_of_option, column_option
from thumblab_cli.which_lab import chosen_settings, here, on_this_lab
from thumblab_core.errors import LabError, NoServedModelError, UnknownChannelError

if TYPE_CHECKING:  # Only type checkers import these modules here, so that `thumblab --help` stays fast.
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from thumblab_pipelines.channels.add import AddedChannel
    from thumblab_pipelines.channels.from_export import ImportedExports
    from thumblab_pipelines.lab import Lab

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def command() -> None:
    """Learn from the videos of a channel what its viewers prefer, and adapt the answers for this channel.

    A running service uses a new channel adapter from the next request on. See docs/own-channel.md.
    """


@command.command()
@click.argument("names", nargs=-1, metavar="[CHANNEL | EXPORT...]")
@click.option(
    "--catalogue",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Import this folder first (see `thumblab import`). CHANNEL may be left out if the folder has only one "
    "channel.",
)
@click.option("--niche", type=NICHE, help="The niche for a channel that is new to the lab.")
@click.option("--refresh", is_flag=True, help="Collect the newest uploads first, even if the lab has some already.")
@click.option(
    "--name",
    help="With EXPORT: the title or the id of the channel. Default: the title that the file's name contains.",
)
@as_of_option
@column_option
@click.option("--demo", is_flag=True, help="Use the demo's lab, which `thumblab up --demo` runs.")
@_json
def add(names: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Fit an adapter of the served model to the videos of a channel, and serve this adapter.

    CHANNEL is the channel's id, its exact title, its @handle or its link. The command uses those videos of the channel
    that the lab has. If the lab has no video of the channel, the videos are collected from YouTube, which needs an API
    key.

    EXPORT is a .zip or .csv file that YouTube Studio made, in any language. The export contains the ids of your
    channel's videos, so no API key is needed. The thumbnails are downloaded by the ids of the videos. Several exports
    are merged.

    Prints whether the adapter helps. To measure this, the lab fits an adapter to the oldest 80 % of the channel's
    videos. The lab then lets the model order pairs of the newest 20 % of the videos, with and without the adapter, and
    compares how many pairs are in the right order.

    \b
    For example:
      thumblab channel add "Content 2015-01-01_2026-11-01 My channel.zip" --niche tech
      thumblab channel add @handle --niche tech
    """
    from thumblab_cli.printing.imports import print_import
    from thumblab_cli.printing.tables import progress_bars, wide_console
    from thumblab_cli.which_lab import lab_settings
    from thumblab_core.ranking.adapters import LEAST_VIDEOS
    from thumblab_pipelines.channels.add import add_channel
    from thumblab_pipelines.lab import Lab

    console = wide_console(stderr=as_json)
    exports = [Path(name) for name in names if _is_export(name)]
    _check_options(names, exports, given)
    chosen = lab_settings(given["demo"], None)
    lab = Lab.existing(chosen) if given["demo"] else Lab.open(chosen)
    if exports:
        with dagster_told(lab, "channel add"), _explained(lab):
            imported, added = _from_exports(console, lab, exports, given)
        report: dict[str, Any] = {"exports": dataclasses.asdict(imported)}
    else:
        with progress_bars(console) as listener, dagster_told(lab, "channel add"), _explained(lab):
            name = names[0] if names else None
            added = add_channel(lab, name, given["catalogue"], given["niche"], given["refresh"], listener)
        if added.imported is not None and not as_json:
            print_import(console, added.imported)
        report = {"imported": None if added.imported is None else dataclasses.asdict(added.imported)}
    if as_json:
        report |= {**dataclasses.asdict(added.fitted), "encoded": added.encoded, "stopped": added.stopped}
        click.echo(json.dumps(report, indent=2, default=str))
    else:
        _show(console, added)
    if not added.fitted.adapted:
        raise LabError(
            f"only {added.fitted.videos} videos of {added.fitted.title} can be used, but an adapter needs "
            f"{LEAST_VIDEOS}; answers are not adapted to the channel"
        )
    if exports and imported.refused:
        raise LabError("; ".join(imported.refused))


@contextmanager
def _explained(lab: "Lab") -> "Iterator[None]":
    """Raise an error if no model is served. The error names the checks that the newest model failed."""
    try:
        yield
    except NoServedModelError as error:
        from thumblab_pipelines.models.build import failed_checks

        failed = failed_checks(lab)
        if failed is None:
            raise
        advice = "collect more videos, run train_ranker in Dagster (`thumblab up`) again, then add the channel"
        raise NoServedModelError(f"no ranking model is served yet: {failed}; {advice}", error.data_dir) from None


@command.command("list")
@_json
def list_command(as_json: bool) -> None:
    """List the channel adapters that were added. For each adapter, show whether the served model uses the adapter.

    Channels that were imported from exports are listed too if they have no adapter.
    """
    from thumblab_cli.printing.printable import printable
    from thumblab_pipelines.channels.add import NOTHING_LEARNT, list_channels
    from thumblab_pipelines.lab import Lab

    adapters = list_channels(Lab.existing(chosen_settings()))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(adapter) for adapter in adapters]))
        return
    for adapter in adapters:
        until = "" if adapter.newest is None else f" to {adapter.newest[:10]}"
        state = "in use" if adapter.fault is None else f"not used: {adapter.fault}; add the channel again"
        if adapter.fault == NOTHING_LEARNT:
            state = f"{adapter.fault}; add its exports again, or delete it (`thumblab channel remove ID --forget`)"
        of_key = (
            "" if adapter.key is None else f", belongs to the key {adapter.key}" + " (revoked)" * adapter.key_revoked
        )
        line = f"{adapter.channel_id} {printable(adapter.title)}: {adapter.videos} videos{until}{of_key}, {state}"
        click.echo(on_this_lab(line))
    if not adapters:
        click.echo(f"No channel adapter was added; `{here('channel add CHANNEL')}` adds one.")


@command.command()
@click.argument("channel")
@click.option(
    "--forget", is_flag=True, help="Delete the channel's videos, pictures, private figures and experiments too."
)
@click.option("--yes", is_flag=True, help="With --forget: do not ask for confirmation.")
def remove(channel: str, forget: bool, yes: bool) -> None:
    """Delete the adapter that `thumblab channel add` made for CHANNEL, and stop using it.

    The channel's videos stay in the lab, unless --forget is given. --forget deletes them as `thumblab video forget`
    does, and also the channel's experiments. This cannot be undone. The channel need not have an adapter then. If the
    command was killed or failed, repeat it.

    CHANNEL is the channel's id, its exact title, its @handle or its link. The training of a model may also make an
    adapter for a channel. An adapter from the training is part of the model and stays in use.
    """
    from thumblab_pipelines.channels.add import remove_channel
    from thumblab_pipelines.lab import Lab

    lab = Lab.existing(chosen_settings())
    if forget:
        _forget(lab, channel, yes)
        return
    with dagster_told(lab, "channel remove"):
        title = remove_channel(lab, channel)
    click.echo(f"The channel adapter of {title} is removed.")


@command.command()
@click.argument("channel")
@click.argument("key", required=False)
@click.option("--lab", "to_lab", is_flag=True, help="Make the channel belong to the lab and to no key.")
@click.option("--title", help="The new title of CHANNEL.")
def give(channel: str, key: str | None, to_lab: bool, title: str | None) -> None:
    """Make CHANNEL belong to the API key with the name KEY.

    A channel that was added over HTTP belongs to the key that sent the request. All other channels belong to the lab. A
    key without the scope `admin` may change only its own channels over HTTP. Answers to this key use only the
    click-through rates of channels that belong to the key. See docs/keys.md.

    CHANNEL is the channel's id, its exact title, its @handle or its link.
    """
    from thumblab_cli.printing.printable import printable
    from thumblab_pipelines.channels.give import give_channel
    from thumblab_pipelines.lab import Lab

    if to_lab == (key is not None):
        raise LabError("give the name of one KEY, or give --lab")
    changed = give_channel(Lab.existing(chosen_settings()), channel, key, title)
    whose = "the lab" if key is None else f"the key {key}"
    click.echo(f"{printable(changed.title)} ({changed.channel_id}) belongs to {whose}.")


def _forget(lab: "Lab", name: str, yes: bool) -> None:
    from thumblab_cli.printing.forgotten import print_forgotten
    from thumblab_core.experiments.store import count_experiments
    from thumblab_pipelines.channels.add import channel_to_forget
    from thumblab_pipelines.retention.forget_videos import channel_videos, clean_remains, forget_channel

    try:
        channel_id = channel_to_forget(lab, name)
    except UnknownChannelError:
        # An earlier call may have deleted the channel and then failed. So its clean-ups are run again.
        with dagster_told(lab, "channel remove --forget"):
            remains = clean_remains(lab)
        if not (remains.releases or remains.images or remains.adapters):
            raise
        print_forgotten(remains)
        return
    if not yes:
        with lab.engine.connect() as connection:
            count = len(channel_videos(connection, channel_id))
            tests = count_experiments(connection, channel_id)
        question = (
            f"Delete the channel {channel_id} with its {count:,} videos, {tests:,} experiments, pictures and private "
            "figures permanently?"
        )
        click.confirm(question, abort=True, err=True)
    with dagster_told(lab, "channel remove --forget"):
        forgotten = forget_channel(lab, channel_id)
    print_forgotten(forgotten)


def _is_export(name: str) -> bool:
    """Return whether an argument is the path of an export. Otherwise, the argument is the name of a channel."""
    try:
        return Path(name).suffix.lower() in (".zip", ".csv") or Path(name).is_file()
    except OSError:  # A channel title may be too long for a path. The system then raises OSError.
        return False


def _check_options(names: "Sequence[str]", exports: "Sequence[Path]", given: dict[str, Any]) -> None:
    """Raise `LabError` if arguments or options contradict each other."""
    if exports and len(exports) < len(names):
        raise LabError("give either exports or one channel; to name the channel of exports, use --name")
    if len(names) > 1 and not exports:
        raise LabError(f"{len(names)} channels were given; add one at a time")
    of_exports = [name for name in ("name", "as_of", "columns") if given[name]]
    of_channels = [name for name in ("catalogue", "refresh") if given[name]]
    for wrong in of_channels if exports else of_exports:
        option = {"columns": "column"}.get(wrong, wrong).replace("_", "-")
        raise LabError(f"--{option} is {'not ' if exports else ''}for exports of YouTube Studio; leave it out")


def _from_exports(
    console: "Console", lab: "Lab", exports: "Sequence[Path]", given: dict[str, Any]
) -> "tuple[ImportedExports, AddedChannel]":
    """Import the exports, print what was imported, and then fit the channel's adapter."""
    from thumblab_cli.printing.imports import print_exports
    from thumblab_cli.printing.tables import progress_bars
    from thumblab_pipelines.channels.export_channel import GivenExports
    from thumblab_pipelines.models.add_exports import AddListener, add_exports
    from thumblab_pipelines.models.tracking import Tracker

    def print_sentence(sentence: str) -> None:
        console.print(on_this_lab(sentence), markup=False, highlight=False, soft_wrap=True)

    def warn(sentence: str) -> None:
        click.echo(on_this_lab(f"note: {sentence}"), err=True)

    as_of = None if given["as_of"] is None else given["as_of"].date()
    what = GivenExports(exports, given["name"], given["niche"], as_of, given["columns"])
    with progress_bars(console) as progress:
        listener = AddListener(progress, lambda imported: print_exports(console, imported), print_sentence, warn)
        return add_exports(lab, what, lambda: Tracker.connect(lab.settings.mlflow_url), listener)


def _show(console: "Console", added: "AddedChannel") -> None:
    from thumblab_cli.printing.printable import printable

    fitted = added.fitted
    lines = [f"{printable(fitted.title)} ({fitted.channel_id})"]
    lines.append(
        f"{fitted.videos} videos used" + (f", the newest published on {fitted.newest[:10]}" if fitted.newest else "")
    )
    if fitted.compared:
        lines.append(f"also used: {fitted.compared} pairs of pictures that YouTube compared on the same video")
    lines += [f"{count} left out: {reason}" for reason, count in fitted.left_out.items()]
    if added.stopped is not None:
        lines.append(f"not all uploads were collected: {added.stopped}")
    if added.encoded:
        lines.append(f"{added.encoded} vectors were made")
    if fitted.adapted:
        state = "unchanged" if fitted.unchanged else f"fitted in {fitted.seconds:.2f} s"
        lines.append(f"adapter {fitted.release} is served ({state}); score with --channel {fitted.channel_id}")
        if fitted.check is None:
            lines.append("The newest videos of the channel make too few pairs to measure whether the adapter helps.")
        else:
            lines.append(f"{fitted.check.own_past}.")
            lines.append(f"{fitted.check.summary}.")
            if fitted.check.gained <= 0:
                lines.append(f"`{here(f'channel remove {fitted.channel_id}')}` removes the adapter.")
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
