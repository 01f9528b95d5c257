"""thumblab refresh: from what the lab holds to what is served, without asking YouTube."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from thumblab_core.errors import LabError
from thumblab_core.niches import NICHES

if TYPE_CHECKING:  # what follows is imported inside functions, so that `thumblab --help` stays fast
    from rich.console import Console

    from thumblab_pipelines.lab import Lab


@click.command(name="refresh")
@click.argument("niches", nargs=-1, type=click.Choice(NICHES), metavar="[NICHE]...")
@click.option("--no-train", is_flag=True, help="Leave the ranking model as it is.")
def command(niches: tuple[str, ...], no_train: bool) -> None:
    """Encode, measure, index and serve what the lab holds of each NICHE, by default of all; then train on all of it.

    Needs no API key: this is how imported catalogues come to be served. Each step does only what is missing, so a command
    that was stopped goes on where it was. The model is served where it is fit and not worse than the one before.
    """
    from rich.console import Console

    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.models.refresh import held_niches

    lab = Lab.open()
    wanted = list(niches) or held_niches(lab)
    if not wanted:
        raise LabError("the lab has no videos yet; `thumblab import FOLDER --serve` brings a catalogue and serves it")
    serve(Console(), lab, wanted, train=not no_train)


def serve(console: "Console", lab: "Lab", niches: Sequence[str], train: bool) -> None:
    """Refresh the niches, a line each, and then the model. One niche that fails stops no other, and makes the status 1."""
    from thumblab_cli.printing.tables import progress_bars
    from thumblab_pipelines.models.refresh import RefreshListener, refresh_all
    from thumblab_pipelines.models.tracking import Tracker

    def say(sentence: str) -> None:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    def warn(sentence: str) -> None:
        click.echo(f"note: {sentence}", err=True)

    with progress_bars(console) as progress:
        listener = RefreshListener(progress, info=say, warn=warn)
        found = refresh_all(lab, niches, lambda: Tracker.connect(lab.settings.mlflow_url), listener, train=train)
    found.require_all()
