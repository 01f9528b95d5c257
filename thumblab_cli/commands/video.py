"""`thumblab video`: delete single videos from the lab."""

import dataclasses
import json
from typing import TYPE_CHECKING

import click

from thumblab_cli.dagster_told import dagster_told
from thumblab_cli.video_ids import VIDEO_IDS_SETTINGS, VideoIdsCommand
from thumblab_cli.which_lab import chosen_settings
from thumblab_core.errors import LabError

if TYPE_CHECKING:  # Only type checkers import these modules here, so that `thumblab --help` stays fast.
    from thumblab_pipelines.lab import Lab


@click.group()
def command() -> None:
    """Delete single videos from the lab."""


@command.command(cls=VideoIdsCommand, context_settings=VIDEO_IDS_SETTINGS)
@click.argument("given", nargs=-1, required=True, metavar="ID_OR_LINK...", type=click.UNPROCESSED)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def forget(given: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Delete videos with all that the lab has of them. This cannot be undone.

    ID_OR_LINK is the id of a video, or its link on YouTube. The facts, the pictures, the faces and the private figures
    of the videos are deleted, and the videos leave every release except trained models. If the lab does not have one of
    the videos, none is deleted. If the command was killed or failed, repeat it: it then removes deleted videos from the
    pictures and releases.

    The lab may collect a video again while the video is public on YouTube. Experiments, earlier backups and trained
    models keep what they have, see docs/retention.md.

    \b
    For example:
      thumblab video forget dQw4w9WgXcQ https://youtu.be/9bZkp7q19f0
    """
    from thumblab_cli.printing.forgotten import print_forgotten
    from thumblab_core.given_text import video_id_of
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.retention.forget_videos import clean_remains, forget_videos

    lab = Lab.existing(chosen_settings())
    video_ids = list(dict.fromkeys(video_id_of(text) for text in given))
    unknown = _unknown_videos(lab, video_ids)
    refusal = LabError(
        f"the lab has no video {', '.join(unknown)}, so nothing was deleted; check the id, or leave it out"
    )
    if unknown and len(unknown) < len(video_ids):
        raise refusal
    if not unknown and not yes:
        named = video_ids[0] if len(video_ids) == 1 else f"{len(video_ids)} videos"
        click.confirm(f"Delete {named} from the lab permanently?", abort=True, err=True)
    with dagster_told(lab, "video forget"):
        # An earlier call may have deleted the rows of all videos and then failed. So its clean-ups are run again.
        forgotten = clean_remains(lab) if unknown else forget_videos(lab, video_ids)
    if unknown and not (forgotten.releases or forgotten.images or forgotten.adapters):
        raise refusal
    if as_json:
        click.echo(json.dumps({"video_ids": video_ids, **dataclasses.asdict(forgotten)}))
    else:
        print_forgotten(forgotten)


def _unknown_videos(lab: "Lab", video_ids: list[str]) -> list[str]:
    """Return those of the videos that the lab does not have."""
    from thumblab_pipelines.retention.forget_videos import known_videos

    with lab.engine.connect() as connection:
        known = known_videos(connection, video_ids)
    return [video_id for video_id in video_ids if video_id not in known]
