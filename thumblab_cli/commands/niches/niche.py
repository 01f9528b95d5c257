"""`thumblab niche`: list, add, change, retire and restore niches, and propose a niche from channels or videos."""

import dataclasses
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from thumblab_cli.which_lab import demo_option
from thumblab_core.errors import LabError

if TYPE_CHECKING:  # Only type checkers import these modules here, which keeps `thumblab --help` fast.
    from thumblab_core.niches import Niche
    from thumblab_core.settings import Settings
    from thumblab_pipelines.lab import Lab

Function = TypeVar("Function", bound=Callable[..., Any])

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_yes = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
_name = click.argument("name", metavar="NICHE")
_LISTS = ("searches", "channels", "exclude")


def _sources(function: Function) -> Function:
    """Add the options that say where the videos of a niche come from."""
    options = (
        click.option("--search", "searches", multiple=True, metavar="TEXT", help="Search YouTube for this text."),
        click.option(
            "--channel", "channels", multiple=True, metavar="ID|@HANDLE", help="Collect this channel's uploads."
        ),
        click.option("--exclude", multiple=True, metavar="WORD", help="Leave out videos with this word in the title."),
        click.option(
            "--category", "category_id", type=click.IntRange(1), help="The id of a YouTube category, such as 26."
        ),
        click.option("--region", metavar="COUNTRY", help="Default: THUMBLAB_REGION. Example: AU."),
        click.option("--language", metavar="LANGUAGE", help="Default: THUMBLAB_LANGUAGE. Example: en."),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.group(name="niche")
def command() -> None:
    """List, add, change, retire and propose niches.

    A running lab uses every change without a restart: the service within a second, Dagster within half a minute.
    """


@command.command(name="list")
@click.option("--retired", is_flag=True, help="List the retired niches too.")
@demo_option
@_json
def list_(retired: bool, as_json: bool, chosen: "Settings") -> None:
    """List the niches of the lab. For each niche, show the number of videos, and the quota that it may use in a day."""
    from thumblab_cli.printing.niches import niches_table
    from thumblab_cli.printing.tables import wide_console
    from thumblab_core.niches.counts import videos_by_niche
    from thumblab_core.niches.store import all_niches
    from thumblab_pipelines.lab import Lab

    lab = Lab.existing(chosen)
    with lab.engine.connect() as connection:
        found, counts = all_niches(connection, retired), videos_by_niche(connection)
    if as_json:
        click.echo(json.dumps([_shown(lab, niche, counts) for niche in found], indent=2))
    else:
        wide_console().print(niches_table([_shown(lab, niche, counts) for niche in found]))


@command.command()
@_name
@demo_option
@_json
def show(name: str, as_json: bool, chosen: "Settings") -> None:
    """Show where the videos of NICHE come from, and how much quota the niche may use in a day."""
    from thumblab_core.niches.counts import videos_by_niche
    from thumblab_core.niches.store import niche_named
    from thumblab_pipelines.lab import Lab

    lab = Lab.existing(chosen)
    with lab.engine.connect() as connection:
        shown = _shown(lab, niche_named(connection, name), videos_by_niche(connection))
    _print(shown, as_json)


@command.command()
@_name
@_sources
@_yes
@demo_option
@_json
def add(name: str, yes: bool, as_json: bool, chosen: "Settings", **sources: Any) -> None:
    """Add NICHE to the lab. The next refresh collects, indexes and serves the niche.

    If the niche has searches, a category limits the searches to videos of this category. Without searches, the lab
    collects the most popular videos of the category.
    """
    from thumblab_core.niches.niche import checked
    from thumblab_core.niches.store import add_niche
    from thumblab_pipelines.lab import Lab

    lab = Lab.existing(chosen)
    niche = checked(_niche(name, sources))
    _confirm(f"{_cost(lab, niche)} Add {name}?", yes)
    _changed(lab, add_niche(lab.engine, lab.settings.data_dir, niche), as_json)


@command.command()
@_name
@_sources
@click.option("--no-category", is_flag=True, help="Remove the category.")
@click.option("--no-region", is_flag=True, help="Use the lab's region.")
@click.option("--no-language", is_flag=True, help="Use the lab's language.")
@click.option(
    "--clear", multiple=True, type=click.Choice(["search", "channel", "exclude"]), help="Remove all of these."
)
@_yes
@demo_option
@_json
def edit(name: str, yes: bool, as_json: bool, chosen: "Settings", **given: Any) -> None:
    """Change where the videos of NICHE come from.

    A setting without its option stays as it is. A new list of searches, channels or excluded words replaces the old
    list.
    """
    from thumblab_core.niches.niche import checked
    from thumblab_core.niches.store import edit_niche, niche_named
    from thumblab_pipelines.lab import Lab

    lab = Lab.existing(chosen)
    with lab.engine.connect() as connection:
        before = niche_named(connection, name)
    named = {"search": "searches", "channel": "channels", "exclude": "exclude"}
    changes: dict[str, Any] = {named[kind]: () for kind in given.pop("clear")}
    for option, field in (("no_category", "category_id"), ("no_region", "region"), ("no_language", "language")):
        if given.pop(option):
            changes[field] = None
    changes |= {field: value for field, value in given.items() if value not in (None, ())}
    if not changes:
        raise click.UsageError("give at least one option that changes the niche")
    niche = checked(dataclasses.replace(before, **changes))
    _confirm(f"{_cost(lab, niche)} Change {name}?", yes)
    _changed(lab, edit_niche(lab.engine, niche), as_json)


@command.command()
@_name
@click.option("--keep/--forget", default=True, help="Keep the data of the niche (default), or delete it.")
@_yes
@demo_option
@_json
def retire(name: str, keep: bool, yes: bool, as_json: bool, chosen: "Settings") -> None:
    """Stop collecting and serving NICHE, and stop training on its videos.

    With --keep, the videos, pictures and releases of the niche stay, and `thumblab niche restore` makes the niche
    active again. With --forget, they are deleted, and the niche itself is deleted too.
    """
    from thumblab_cli.dagster_told import tell_of_niches
    from thumblab_core.niches.counts import videos_by_niche
    from thumblab_core.niches.store import niche_named, retire_niche
    from thumblab_pipelines.lab import Lab

    lab = Lab.existing(chosen)
    with lab.engine.connect() as connection:
        niche_named(connection, name)
        count = videos_by_niche(connection).get(name, 0)
    what = "its data is kept" if keep else f"its {count:,} videos, their pictures and its releases are deleted"
    _confirm(f"{name} is no longer collected and served, and {what}. Retire {name}?", yes)
    was_active = retire_niche(lab.engine, lab.settings.data_dir, name)
    tell_of_niches(lab)
    result: dict[str, Any] = {"name": name, "retired": was_active, "kept": keep}
    if not keep:
        from thumblab_pipelines.retention.forget_niche import forget_niche

        result |= {f"{kind}_deleted": number for kind, number in vars(forget_niche(lab, name)).items()}
    _print(result, as_json)


@command.command()
@_name
@demo_option
@_json
def restore(name: str, as_json: bool, chosen: "Settings") -> None:
    """Make a retired NICHE active again."""
    from thumblab_core.niches.store import niche_named, restore_niche
    from thumblab_pipelines.lab import Lab

    lab = Lab.existing(chosen)
    if not restore_niche(lab.engine, lab.settings.data_dir, name):
        raise LabError(f"{name} is not retired")
    with lab.engine.connect() as connection:
        _changed(lab, niche_named(connection, name), as_json)


@command.command(name="propose")
@click.option("--channel", "channels", multiple=True, metavar="ID|TITLE|@HANDLE", help="A channel of the lab.")
@click.option("--video", "video_ids", multiple=True, metavar="ID", help="A video of the lab.")
@click.option(
    "-k", "most", type=click.IntRange(1, 50), default=10, show_default=True, help="How many channels to name."
)
@demo_option
@_json
def propose_(
    channels: tuple[str, ...], video_ids: tuple[str, ...], most: int, as_json: bool, chosen: "Settings"
) -> None:
    """Propose a niche that is like the given channels and videos. This command changes nothing.

    The proposal has the nearest channels of the lab and texts to search for. It also says how much quota the niche may
    use in a day, and how many stored videos are like the given videos.
    """
    from thumblab_core.niches.propose import propose
    from thumblab_pipelines.lab import Lab

    if not channels and not video_ids:
        raise click.UsageError("give --channel or --video")
    lab = Lab.existing(chosen)
    with lab.engine.connect() as connection:
        proposal = propose(connection, lab.settings, channels, video_ids, most)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(proposal), indent=2))
        return
    from thumblab_cli.printing.niches import print_proposal
    from thumblab_cli.printing.tables import wide_console

    print_proposal(wide_console(), proposal)


def _niche(name: str, sources: dict[str, Any]) -> "Niche":
    from thumblab_core.niches import Niche

    return Niche(name, **sources)


def _cost(lab: "Lab", niche: "Niche") -> str:
    from thumblab_core.niches.cost import daily_cost

    cost = daily_cost(niche, lab.settings)
    return (
        f"A refresh of {niche.name} costs at most {cost.searches} of {lab.settings.quota_searches:,} searches and "
        f"{cost.units} of {lab.settings.quota_units:,} units a day."
    )


def _confirm(question: str, yes: bool) -> None:
    if not yes:
        click.confirm(question, abort=True, err=True)


def _changed(lab: "Lab", niche: "Niche", as_json: bool) -> None:
    from thumblab_cli.dagster_told import tell_of_niches
    from thumblab_core.niches.counts import videos_by_niche

    tell_of_niches(lab)
    with lab.engine.connect() as connection:
        counts = videos_by_niche(connection)
    _print(_shown(lab, niche, counts), as_json)


def _shown(lab: "Lab", niche: "Niche", counts: dict[str, int]) -> dict[str, Any]:
    from thumblab_core.niches.cost import daily_cost

    cost = daily_cost(niche, lab.settings)
    facts = dataclasses.asdict(niche)
    facts |= {name: None if facts[name] is None else facts[name].isoformat() for name in ("added_at", "retired_at")}
    facts |= {name: list(facts[name]) for name in _LISTS}
    return facts | {
        "videos": counts.get(niche.name, 0),
        "searches_a_day": cost.searches,
        "units_a_day": cost.units,
    }


def _print(facts: dict[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    for name, value in facts.items():
        if isinstance(value, bool):
            click.echo(f"{name}: {'yes' if value else 'no'}")
        elif value not in (None, [], ""):
            click.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")
