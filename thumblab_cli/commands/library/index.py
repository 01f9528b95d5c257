"""`thumblab index`: show, change, check and search the library index that each niche serves."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thumblab_cli.dagster_told import dagster_told
from thumblab_cli.niche_type import NICHE
from thumblab_cli.video_ids import VIDEO_IDS_SETTINGS, VideoIdsCommand
from thumblab_cli.which_lab import chosen_settings, here, on_this_lab
from thumblab_core.errors import LabError

if TYPE_CHECKING:  # Only type checkers import these modules here, so that `thumblab --help` stays fast.
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.library.changes import Changed

_niche = click.argument("niche", type=NICHE, metavar="NICHE")
_niches = click.argument("niches", nargs=-1, type=NICHE, metavar="[NICHE]...")
_videos = click.argument("video_ids", nargs=-1, required=True, metavar="VIDEO_ID...", type=click.UNPROCESSED)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def command() -> None:
    """See, change, check and search the library of a niche.

    A running service uses every change from its next request on.
    """


@command.command()
@_niches
@_json
def status(niches: tuple[str, ...], as_json: bool) -> None:
    """Show which index each niche serves, when this index was built, and how it is searched.

    Also shows how many thumbnails each index has, how many videos `upsert` and `delete` changed, and which videos are
    not served yet.
    """
    from thumblab_cli.printing.library_index import status_table
    from thumblab_cli.printing.tables import wide_console
    from thumblab_pipelines.library.status import index_status

    statuses = [index_status(_lab(), niche) for niche in niches or _lab().niches]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(niche_status) for niche_status in statuses], default=str))
        return
    console = wide_console()
    console.print(status_table(statuses))
    for niche_status in statuses:
        for remark in niche_status.remarks:
            console.print(f"{niche_status.niche}: {on_this_lab(remark)}", highlight=False, markup=False, soft_wrap=True)


@command.command()
@_niches
def rebuild(niches: tuple[str, ...]) -> None:
    """Rebuild the index of each NICHE from the database, check it and serve it.

    Without NICHE, rebuild the indexes of all niches that have videos in the lab.

    Thumbnails without a vector are encoded first. The lab tries again to encode thumbnails that could not be encoded
    before. `thumblab refresh` also computes baselines, measures the thumbnails and trains a model.
    """
    from rich.console import Console

    from thumblab_cli.printing.tables import progress_bars
    from thumblab_pipelines.features.embed import embed, load_encoders
    from thumblab_pipelines.features.encoding import delete_encoding_failures
    from thumblab_pipelines.library.build import build_index, promote_index
    from thumblab_pipelines.models.refresh import niches_with_videos

    lab = _lab()
    console = Console(stderr=True)

    def rebuild_niche(niche: str) -> str:
        with progress_bars(console) as listener:
            embedded = embed(lab, niche, listener)
        for sentence in (*embedded.unreadable, *embedded.without):
            click.echo(f"note: {sentence}", err=True)
        built = build_index(lab, niche)
        served = promote_index(lab, niche)
        info = built.release.info
        summary = "nothing had changed" if built.reused else f"{info['faiss']} of {info['count']:,}"
        held = "" if served.held is None else f"; not served, because it is held: {served.held}"
        return f"{built.release.release_id} ({summary}){held}"

    chosen = niches or niches_with_videos(lab)
    if not chosen:
        raise LabError("the lab has no videos yet; `thumblab import FOLDER --serve` imports a catalogue and serves it")
    for niche in chosen:
        delete_encoding_failures(lab, niche)
    load_encoders(lab, chosen)
    with dagster_told(lab, "index rebuild"):
        _for_each(chosen, rebuild_niche)


@command.command(cls=VideoIdsCommand, context_settings=VIDEO_IDS_SETTINGS)
@_niche
@_videos
@_json
def upsert(niche: str, video_ids: tuple[str, ...], as_json: bool) -> None:
    """Add or update videos of the lab in the served index. Videos that `delete` took out are put back."""
    from thumblab_pipelines.library.changes import put_in

    lab = _lab()
    with dagster_told(lab, "index upsert"):
        changed = put_in(lab, niche, video_ids)
    _print_changed(niche, changed, as_json)


@command.command(cls=VideoIdsCommand, context_settings=VIDEO_IDS_SETTINGS)
@_niche
@_videos
@_json
def delete(niche: str, video_ids: tuple[str, ...], as_json: bool) -> None:
    """Take videos out of the served index, and out of every later index. `upsert` puts the videos back.

    The videos stay in the lab. `thumblab video forget` deletes a video from the lab.
    """
    from thumblab_pipelines.library.changes import take_out

    lab = _lab()
    with dagster_told(lab, "index delete"):
        changed = take_out(lab, niche, video_ids)
    _print_changed(niche, changed, as_json)


@command.command()
@_niche
@click.option(
    "--to",
    "release_id",
    metavar="RELEASE",
    help="An index release that `thumblab index verify` lists. Default: the release that was served before the "
    "current one.",
)
def rollback(niche: str, release_id: str | None) -> None:
    """Serve an older index of a niche, and hold it. No refresh replaces this index until `thumblab index resume` ends
    the hold.
    """
    from thumblab_pipelines.library.changes import roll_back

    lab = _lab()
    with dagster_told(lab, "index rollback"):
        release = roll_back(lab, niche, release_id)
    resume = here(f"index resume {niche}")
    click.echo(f"{niche} serves {release.release_id} and holds it. `{resume}` ends this hold.")


@command.command("resume")
@_niche
def resume_command(niche: str) -> None:
    """End the hold of a niche that was rolled back, and serve its newest index again."""
    from thumblab_pipelines.library.changes import resume

    lab = _lab()
    with dagster_told(lab, "index resume"):
        release = resume(lab, niche)
    click.echo(f"{niche} serves {release.release_id}.")


@command.command()
@_niches
@_json
def verify(niches: tuple[str, ...], as_json: bool) -> None:
    """Read every index release as the service does, and report whether the release is good or damaged.

    The exit status is 1 if a niche serves a damaged release.
    """
    from thumblab_pipelines.library.status import verify_releases

    lab = _lab()
    releases = [release for niche in niches or _lab().niches for release in verify_releases(lab, niche)]
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(release) for release in releases]))
    else:
        for release in releases:
            served = "served " if release.served else ""
            click.echo(f"{release.niche} {release.release_id} {served}{release.fault or 'good'}")
    damaged = [release.niche for release in releases if release.served and release.fault]
    if damaged:
        raise LabError(
            f"the served index is damaged: {', '.join(damaged)}; run `thumblab index rollback` or `thumblab index rebuild`"
        )


@command.command()
@_niches
@click.option(
    "--keep",
    type=click.IntRange(1),
    help="The number of releases to keep besides the served release. Default: THUMBLAB_RELEASES_KEPT.",
)
def prune(niches: tuple[str, ...], keep: int | None) -> None:
    """Delete old index releases, and files that a crashed process left behind. The served release is never deleted."""
    from thumblab_core.releases.release import INDEX
    from thumblab_pipelines.library.build import prune_indices

    lab = _lab()
    for niche in niches or _lab().niches:
        deleted = lab.releases.prune(INDEX, niche, keep) if keep else prune_indices(lab, niche)
        click.echo(f"{niche}: {len(deleted)} deleted")


@command.command()
@click.option("--niche", "niches", multiple=True, type=NICHE, help="Search this niche. Can be given several times.")
@click.option(
    "--image", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Find pictures like this one."
)
@click.option("--video", "video_id", help="Find pictures like the thumbnail of this video in the library.")
@click.option("--text", "words", help="Find pictures that match this text. The image encoder must have a text tower.")
@click.option(
    "-k", "count", type=click.IntRange(1, 1000), default=10, show_default=True, help="The number of thumbnails to find."
)
@click.option(
    "--since", type=click.DateTime(["%Y-%m-%d"]), help="Find only videos that were published on this day or later."
)
@click.option(
    "--until", type=click.DateTime(["%Y-%m-%d"]), help="Find only videos that were published on this day or earlier."
)
@_json
def search(
    niches: tuple[str, ...],
    count: int,
    since: datetime | None,
    until: datetime | None,
    as_json: bool,
    **query: Any,  # click passes the values of --image, --video and --text under these names.
) -> None:
    """Find the thumbnails that are most similar to a picture, to the thumbnail of a video, or to a text.

    Without --niche, all niches are searched.
    """
    from thumblab_cli.printing.library_index import hit_line
    from thumblab_core.index import PublishedBetween
    from thumblab_pipelines.library.search import search_libraries

    if sum(value is not None for value in query.values()) != 1:
        raise click.UsageError("Give exactly one of --image, --video and --text.")
    found = search_libraries(
        _lab(), niches or _lab().niches, count, PublishedBetween(_day(since), _day(until)), **query
    )
    if as_json:
        hits = [
            {"niche": hit.niche, "similarity": hit.similarity, **dataclasses.asdict(hit.item)} for hit in found.hits
        ]
        click.echo(json.dumps({"hits": hits, "remarks": found.remarks}, default=str))
        return
    for remark in found.remarks:
        click.echo(on_this_lab(remark), err=True)
    for hit in found.hits:
        click.echo(hit_line(hit))


def _lab() -> "Lab":
    from thumblab_pipelines.lab import Lab

    return Lab.existing(chosen_settings())


def _day(moment: datetime | None) -> date | None:
    return None if moment is None else moment.date()


def _for_each(niches: Sequence[str], work: Callable[[str], str]) -> None:
    """Call `work` for each niche, and print the text that `work` returns. If a niche failed, raise `LabError` at the
    end.
    """
    failed = []
    for niche in niches:
        try:
            click.echo(f"{niche}: {work(niche)}")
        except LabError as error:
            failed.append(niche)
            click.echo(on_this_lab(f"{niche}: {error}"), err=True)
    if failed:
        raise LabError(f"these niches failed: {', '.join(failed)}")


def _print_changed(niche: str, changed: "Changed", as_json: bool) -> None:
    """Print for each video whether it was put into the index, taken out of it, or skipped.

    Raise `LabError` if all videos were skipped.
    """
    release_id = None if changed.release is None else changed.release.release_id
    if as_json:
        videos = {"put": changed.put_in, "out": changed.taken_out, "left": changed.skipped}
        click.echo(json.dumps({"niche": niche, "release": release_id, **videos}))
    else:
        for video_id in changed.put_in:
            click.echo(f"{video_id}: in")
        for video_id in changed.taken_out:
            click.echo(f"{video_id}: out")
        for video_id, reason in changed.skipped.items():
            click.echo(on_this_lab(f"{video_id}: left as it is; {reason}"), err=True)
        click.echo(f"{niche} serves {release_id or 'nothing'}")
    if changed.skipped and not changed.put_in and not changed.taken_out:
        raise LabError("nothing was changed; the list above gives the reason for each video")
