"""`thumblab refresh`: encode, index and serve the lab's videos, and train on them. YouTube is not needed."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from thumblab_cli.dagster_told import dagster_told
from thumblab_cli.niche_type import NICHE
from thumblab_cli.which_lab import chosen_settings, on_this_lab
from thumblab_core.errors import LabError

if TYPE_CHECKING:  # Only type checkers import these modules here, so that `thumblab --help` stays fast.
    from rich.console import Console

    from thumblab_pipelines.lab import Lab


@click.command(name="refresh")
@click.argument("niches", nargs=-1, type=NICHE, metavar="[NICHE]...")
@click.option("--no-train", is_flag=True, help="Do not train the ranking model.")
def command(niches: tuple[str, ...], no_train: bool) -> None:
    """Encode, measure, index and serve the videos of each NICHE, train a model on all videos of the lab, and map the
    libraries.

    Without NICHE, all niches that have videos in the lab are refreshed.

    This command needs no API key. Use this command to serve imported catalogues. Each step makes only what is missing.
    If the command was stopped, run it again to continue. The new model is served if it passes its checks and is not
    worse than the served model.
    """
    from rich.console import Console

    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.models.refresh import niches_with_videos

    lab = Lab.existing(chosen_settings())
    wanted = list(niches) or niches_with_videos(lab)
    if not wanted:
        raise LabError("the lab has no videos yet; `thumblab import FOLDER --serve` imports a catalogue and serves it")
    serve(Console(), lab, wanted, train=not no_train)


def serve(console: "Console", lab: "Lab", niches: Sequence[str], train: bool) -> None:
    """Refresh the niches and then the model, and print a line for each step.

    If a niche fails, the other niches are still refreshed. At the end, `LabError` makes the exit status 1.
    """
    from thumblab_cli.printing.tables import progress_bars
    from thumblab_pipelines.models.refresh import RefreshListener, map_libraries, refresh_all
    from thumblab_pipelines.models.tracking import Tracker

    def print_sentence(sentence: str) -> None:
        console.print(on_this_lab(sentence), markup=False, highlight=False, soft_wrap=True)

    def warn(sentence: str) -> None:
        click.echo(on_this_lab(f"note: {sentence}"), err=True)

    with progress_bars(console) as progress, dagster_told(lab, "refresh"):
        listener = RefreshListener(progress, info=print_sentence, warn=warn)
        refreshed = refresh_all(lab, niches, lambda: Tracker.connect(lab.settings.mlflow_url), listener, train=train)
        if refreshed.niches:
            map_libraries(lab, [niche.niche for niche in refreshed.niches], listener)
    refreshed.require_all()
