"""`thumblab index`: the library of each niche as it is served, and what a person does with it."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thumblab_core.errors import LabError
from thumblab_core.niches import NICHES

if TYPE_CHECKING:  # what follows is imported inside functions, so that `thumblab --help` stays fast
    from rich.table import Table

    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.library.changes import Changed
    from thumblab_pipelines.library.status import IndexStatus

_niche = click.argument("niche", type=click.Choice(NICHES), metavar="NICHE")
_niches = click.argument("niches", nargs=-1, type=click.Choice(NICHES), metavar="[NICHE]...")
_videos = click.argument("video_ids", nargs=-1, required=True, metavar="VIDEO_ID...", type=click.UNPROCESSED)
_TAKES_VIDEOS = {"ignore_unknown_options": True, "help_option_names": ["--help"]}
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


class _TakesVideos(click.Command):
    """One id of YouTube's in 64 begins with a hyphen, some with -h, and is no option; `-h` alone is no id."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = args[: args.index("--")] if "--" in args else args
        return super().parse_args(ctx, ["--help"] if "-h" in options else args)


@click.group()
def command() -> None:
    """See, change, check and search the library of a niche.

    A running service follows every change by itself, at its next request.
    """


@command.command()
@_niches
@_json
def status(niches: tuple[str, ...], as_json: bool) -> None:
    """Show what each niche serves: how many thumbnails, since when, how it is searched, and what waits."""
    from thumblab_cli.printing.tables import whole_console
    from thumblab_pipelines.library.status import index_status

    found = [index_status(_lab(), niche) for niche in niches or NICHES]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in found], default=str))
        return
    console = whole_console()
    console.print(status_table(found))
    for one in found:
        for sentence in one.remarks:
            console.print(f"{one.niche}: {sentence}", highlight=False, markup=False, soft_wrap=True)


def status_table(found: "Sequence[IndexStatus]") -> "Table":
    """A row per niche: what it serves, since when, and how much room all its releases take."""
    from thumblab_cli.printing.tables import table

    columns = ("niche", "since (UTC)", "pictures", "changed", "search", "recall", "MB")
    made = table(*columns, words=("niche", "since (UTC)", "search"))
    for one in found:
        since = "nothing" if one.created_at is None else one.created_at[:16].replace("T", " ")
        search = (
            (f"{one.count:,}", str(one.changed), one.kind.removeprefix("IDMap,"), f"{one.recall:.3f}")
            if one.release_id
            else [""] * 4
        )
        made.add_row(one.niche, since, *search, f"{one.bytes / 1e6:,.1f}")
    return made


@command.command()
@_niches
def rebuild(niches: tuple[str, ...]) -> None:
    """Build the index of niches anew from the database, judge it and serve it. All that the lab has where none is named.

    A thumbnail without a vector is encoded first, also one that the encoder made none of before. `thumblab refresh` does all
    that comes before an index too.
    """
    from rich.console import Console

    from thumblab_cli.printing.tables import progress_bars
    from thumblab_pipelines.features.embed import embed
    from thumblab_pipelines.features.learnt_vectors import forget_failures
    from thumblab_pipelines.library.build import build_index, promote_index
    from thumblab_pipelines.models.refresh import held_niches

    lab = _lab()
    console = Console(stderr=True)

    def one(niche: str) -> str:
        forget_failures(lab, niche)
        with progress_bars(console) as listener:
            found = embed(lab, niche, listener)
        for sentence in (*found.unreadable, *found.without):
            click.echo(f"note: {sentence}", err=True)
        built = build_index(lab, niche)
        served = promote_index(lab, niche)
        said = (
            "nothing had changed"
            if built.reused
            else f"{built.release.info['faiss']} of {built.release.info['count']:,}"
        )
        held = "" if served.held is None else f"; not served, because it is held: {served.held}"
        return f"{built.release.release_id} ({said}){held}"

    wanted = niches or held_niches(lab)
    if not wanted:
        raise LabError("the lab has no videos yet; `thumblab import FOLDER --serve` brings a catalogue and serves it")
    _each(wanted, one)


@command.command(cls=_TakesVideos, context_settings=_TAKES_VIDEOS)
@_niche
@_videos
@_json
def upsert(niche: str, video_ids: tuple[str, ...], as_json: bool) -> None:
    """Put videos of the lab into what is served, or put them anew; also those that were taken out."""
    from thumblab_pipelines.library.changes import put_in

    _tell(niche, put_in(_lab(), niche, video_ids), as_json)


@command.command(cls=_TakesVideos, context_settings=_TAKES_VIDEOS)
@_niche
@_videos
@_json
def delete(niche: str, video_ids: tuple[str, ...], as_json: bool) -> None:
    """Take videos out of what is served, and out of every index to come; `upsert` puts them back.

    They stay in the lab. To forget a video altogether, see `docs/retention.md`.
    """
    from thumblab_pipelines.library.changes import take_out

    _tell(niche, take_out(_lab(), niche, video_ids), as_json)


@command.command()
@_niche
@click.option(
    "--to",
    "release_id",
    metavar="RELEASE",
    help="One of those that `index verify` lists. Default: the one served before.",
)
def rollback(niche: str, release_id: str | None) -> None:
    """Serve an older index of a niche, and hold it: no refresh replaces it until `thumblab index resume`."""
    from thumblab_pipelines.library.changes import roll_back

    click.echo(f"{niche} serves {roll_back(_lab(), niche, release_id).release_id}, and is held there.")


@command.command("resume")
@_niche
def resume_command(niche: str) -> None:
    """Let a niche that was rolled back serve what is newer again."""
    from thumblab_pipelines.library.changes import resume

    click.echo(f"{niche} serves {resume(_lab(), niche).release_id}.")


@command.command()
@_niches
@_json
def verify(niches: tuple[str, ...], as_json: bool) -> None:
    """Read every index release that is kept as a service would, and name the damaged ones. Status 1 where one is served."""
    from thumblab_pipelines.library.status import verify_releases

    lab = _lab()
    found = [one for niche in niches or NICHES for one in verify_releases(lab, niche)]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in found]))
    else:
        for one in found:
            click.echo(f"{one.niche} {one.release_id} {'served ' if one.served else ''}{one.fault or 'good'}")
    bad = [one.niche for one in found if one.served and one.fault]
    if bad:
        raise LabError(f"what {', '.join(bad)} serves is damaged; `thumblab index rollback` or `rebuild`")


@command.command()
@_niches
@click.option(
    "--keep", type=click.IntRange(1), help="How many besides the served one. Default: THUMBLAB_RELEASES_KEPT."
)
def prune(niches: tuple[str, ...], keep: int | None) -> None:
    """Delete old index releases, never the served one, and what crashed writers left behind."""
    from thumblab_core.releases.release import INDEX
    from thumblab_pipelines.library.build import prune_indices

    lab = _lab()
    for niche in niches or NICHES:
        gone = lab.releases.prune(INDEX, niche, keep) if keep else prune_indices(lab, niche)
        click.echo(f"{niche}: {len(gone)} deleted")


@command.command()
@click.option(
    "--niche", "niches", multiple=True, type=click.Choice(NICHES), help="Search this niche; several may be named."
)
@click.option("--image", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Like this picture.")
@click.option("--video", help="Like the thumbnail of this video of the library.")
@click.option("--text", "words", help="What the picture shows, where the image encoder has a text tower.")
@click.option("-k", "count", type=click.IntRange(1, 1000), default=10, show_default=True, help="How many.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), help="Published on this day or later.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="Published on this day or earlier.")
@_json
def search(
    niches: tuple[str, ...],
    image: Path | None,
    video: str | None,
    words: str | None,
    count: int,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
) -> None:
    """Find the thumbnails most like a picture, a video or words, in all niches or in those named."""
    from thumblab_core.index import Only
    from thumblab_pipelines.library.search import search_libraries

    if sum(asked is not None for asked in (image, video, words)) != 1:
        raise click.UsageError("Give one of --image, --video and --text.")
    only = Only(_day(since), _day(until))
    found = search_libraries(_lab(), niches or NICHES, count, only, image=image, video_id=video, words=words)
    if as_json:
        rows = [
            {"niche": one.niche, "similarity": one.similarity, **dataclasses.asdict(one.item)} for one in found.hits
        ]
        click.echo(json.dumps({"hits": rows, "remarks": found.remarks}, default=str))
        return
    for remark in found.remarks:
        click.echo(remark, err=True)
    for one in found.hits:
        multiple = "" if one.item.outlier_multiple is None else f"{one.item.outlier_multiple:.1f}x its channel, "
        rate = f"{multiple}{one.item.views_per_hour:,.0f} views/h"
        click.echo(
            f"{one.similarity:.4f} {one.niche:13} {one.item.video_id:12} {_printable(one.item.title[:60])} ({rate})"
        )


def _lab() -> "Lab":
    from thumblab_core.settings import settings
    from thumblab_pipelines.lab import Lab

    return Lab.open(settings())


def _printable(title: str) -> str:
    """A title is whatever its uploader wrote, and a terminal obeys what it is sent."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in title)


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


def _each(niches: Sequence[str], work: Callable[[str], str]) -> None:
    """One niche that fails stops no other, and makes the status 1."""
    failed = []
    for niche in niches:
        try:
            click.echo(f"{niche}: {work(niche)}")
        except LabError as error:
            failed.append(niche)
            click.echo(f"{niche}: {error}", err=True)
    if failed:
        raise LabError(f"not done: {', '.join(failed)}")


def _tell(niche: str, changed: "Changed", as_json: bool) -> None:
    release = None if changed.release is None else changed.release.release_id
    said: dict[str, Any] = {
        "niche": niche,
        "release": release,
        "put": changed.put,
        "out": changed.out,
        "left": changed.left,
    }
    if as_json:
        click.echo(json.dumps(said))
    else:
        for video_id in changed.put:
            click.echo(f"{video_id}: in")
        for video_id in changed.out:
            click.echo(f"{video_id}: out")
        for video_id, why in changed.left.items():
            click.echo(f"{video_id}: left as it is; {why}", err=True)
        click.echo(f"{niche} serves {release or 'nothing'}")
    if changed.left and not changed.put and not changed.out:
        raise LabError("nothing was changed; each video is listed with its reason")
