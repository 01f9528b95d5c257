"""Print what was deleted with forgotten videos."""

from typing import TYPE_CHECKING

import click

from thumblab_cli.which_lab import on_this_lab

if TYPE_CHECKING:
    from thumblab_pipelines.retention.forget_videos import ForgottenVideos


def print_forgotten(forgotten: "ForgottenVideos") -> None:
    """Print one line with the numbers of deleted items, and lines about deleted experiments and those that stay."""
    click.echo(
        f"{forgotten.videos:,} videos are deleted, with {forgotten.images:,} pictures and {forgotten.figures:,} rows of "
        f"private figures. {forgotten.releases:,} releases that contained them are deleted, and {forgotten.adapters:,} "
        "channel adapters are removed or fitted again."
    )
    if forgotten.deleted_experiments:
        click.echo(f"{forgotten.deleted_experiments:,} experiments of the channel are deleted.")
    if forgotten.experiments:
        click.echo(
            on_this_lab(
                f"{forgotten.experiments:,} experiments with these videos stay; `thumblab experiment list` shows their "
                "ids, and `thumblab experiment remove` deletes them."
            )
        )
