"""thumblab refresh: encode, index, serve and train on what the lab holds, without asking YouTube."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from thumblab_core.errors import LabError
from thumblab_core.niches import NICHES

if TYPE_CHECKING:  # imported inside functions otherwise, so that `thumblab --help` stays fast
    from rich.console import Console

    from thumblab_pipelines.lab import Lab


@click.command(name="refresh")
@click.argument("niches", nargs=-1, type=click.Choice(NICHES), metavar="[NICHE]...")
@click.option("--no-train", is_flag=True, help="Do not train the ranking model.")
def command(niches: tuple[str, ...], no_train: bool) -> None:
    """Encode, measure, index and serve the videos of each NICHE (all by default), then train on all of them.

    Needs no API key: this is how imported catalogues come to be served. Each step does only what is missing, so a command
    that was stopped can be run again to continue. The model is served if it is fit and not worse than the one before.
    """
    from rich.console import Console

    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.models.refresh import niches_with_videos

    lab = Lab.open()
    wanted = list(niches) or niches_with_videos(lab)
    if not wanted:
        raise LabError("the lab has no videos yet; `thumblab import FOLDER --serve` imports a catalogue and serves it")
    serve(Console(), lab, wanted, train=not no_train)


def serve(console: "Console", lab: "Lab", niches: Sequence[str], train: bool) -> None:
    """Refresh the niches, printing a line for each, and then the model.

    A niche that fails does not stop the others; the command then ends with exit status 1.
    """
    from thumblab_cli.printing.tables import progress_bars
    from thumblab_pipelines.models.refresh import RefreshListener, refresh_all
    from thumblab_pipelines.models.tracking import Tracker

    def print_sentence(sentence: str) -> None:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def warn(sentence: str) -> None:
        click.echo(f"note: {sentence}", err=True)

    with progress_bars(console) as progress:
        listener = RefreshListener(progress, info=print_sentence, warn=warn)
        refreshed = refresh_all(lab, niches, lambda: Tracker.connect(lab.settings.mlflow_url), listener, train=train)
    refreshed.require_all()
