"""`thumblab move`: copy releases and pictures to an object store, or from an object store to this disk."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from thumblab_cli.which_lab import demo_option, here

if TYPE_CHECKING:
    from thumblab_core.settings import Settings
    from thumblab_pipelines.backup.move import Moved

_NAMED = 5
"""At most this many lost pictures or releases are listed. `--json` lists all of them."""


@click.command(name="move")
@click.option(
    "--releases", metavar="PLACE", help="The new place of the releases: the URL of an object store, or `folder`."
)
@click.option(
    "--pictures", metavar="PLACE", help="The new place of the pictures: the URL of an object store, or `folder`."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@demo_option
def command(releases: str | None, pictures: str | None, as_json: bool, chosen: "Settings") -> None:
    """Copy the releases and the pictures to another place, and print the settings that make the lab use this place.

    PLACE is the URL of a folder in an object store, such as s3://BUCKET/lab/images, or the word `folder` for the usual
    folder on this disk. The old copies stay, and the lab uses them until you change its settings. To continue a stopped
    copy, or to copy what is new, run the same command again.
    """
    from thumblab_cli.printing.printable import counted
    from thumblab_cli.printing.tables import progress_bars, wide_console
    from thumblab_core.running import running_lab
    from thumblab_pipelines.backup.move import move_pictures, move_releases, require_other_places
    from thumblab_pipelines.lab import Lab

    lab, moved = Lab.existing(chosen), []
    require_other_places(lab, releases, pictures)
    with progress_bars(wide_console(stderr=as_json)) as progress:
        if releases is not None:
            moved.append(move_releases(lab, releases, progress))
        if pictures is not None:
            moved.append(move_pictures(lab, pictures, releases, progress))
    if as_json:
        click.echo(json.dumps([asdict(one) for one in moved]))
        return
    for one in moved:
        click.echo(
            f"{counted(one.copied, one.what.removesuffix('s'))} copied "
            f"from {one.source} to {one.target}; {one.there:,} were already there."
        )
        if one.lost:
            click.echo(
                f"note: {len(one.lost):,} {one.what} are lost or damaged in {one.source}, so they were not copied: "
                f"{', '.join(one.lost[:_NAMED])}{', ...' if len(one.lost) > _NAMED else ''}"
            )
    if running_lab(chosen.data_dir) is not None:
        click.echo(
            f"The lab is running, and may store new files in the old place. Stop `{here('up')}`, and run this command "
            "again."
        )
    click.echo(
        f"To use the new place, set {' and '.join(map(_setting, moved))}, start the lab, and run: {here('doctor')}"
    )
    if any(one.what == "pictures" and "://" in one.source and "://" not in one.target for one in moved):
        click.echo(
            f"The asset `thumbnails` then deletes {chosen.image_cache}. On other hosts, delete this folder yourself."
        )
    click.echo("Then delete the old copies. A video that the lab deletes later would stay in them.")


def _setting(moved: "Moved") -> str:
    name = "THUMBLAB_RELEASE_STORE" if moved.what == "releases" else "THUMBLAB_IMAGE_STORE"
    if "://" in moved.target:
        return f"{name} to the URL of {moved.target}"
    return f"{name} to nothing (files are in {moved.target})"
