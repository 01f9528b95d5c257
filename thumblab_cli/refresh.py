"""thumblab refresh: from what the lab holds to what is served, without asking YouTube."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from thumblab_core.errors import LabError
from thumblab_core.niches import NICHES

if TYPE_CHECKING:  # what follows is imported inside functions, so that `thumblab --help` stays fast
    from rich.console import Console

    from thumblab_pipelines.steps.lab import Lab
    from thumblab_pipelines.steps.tracking import Tracker


@click.command(name="refresh")
@click.argument("niches", nargs=-1, type=click.Choice(NICHES), metavar="[NICHE]...")
@click.option("--no-train", is_flag=True, help="Leave the ranking model as it is.")
def command(niches: tuple[str, ...], no_train: bool) -> None:
    """Encode, measure, index and serve what the lab holds of each NICHE, by default of all; then train on all of it.

    Needs no API key: this is how imported catalogues come to be served. Each step does only what is missing, so a command
    that was stopped goes on where it was. The model is served where it is fit and not worse than the one before.
    """
    from rich.console import Console

    from thumblab_pipelines.steps.lab import Lab
    from thumblab_pipelines.steps.refresh import held_niches

    lab = Lab.open()
    wanted = list(niches) or held_niches(lab)
    if not wanted:
        raise LabError("the lab has no videos yet; `thumblab import FOLDER --serve` brings a catalogue and serves it")
    serve(Console(), lab, wanted, train=not no_train)


def serve(console: "Console", lab: "Lab", niches: Sequence[str], train: bool) -> None:
    """Refresh the niches, a line each, and then the model. One niche that fails stops no other, and makes the status 1."""
    from thumblab_cli.tables import progress_bars
    from thumblab_pipelines.steps.refresh import refresh_model, refresh_niche

    def say(sentence: str) -> None:
        console.print(sentence, markup=False, highlight=False, soft_wrap=True)

    failed: list[str] = []
    for niche in niches:
        try:
            with progress_bars(console) as listener:
                found = refresh_niche(lab, niche, listener)
        except LabError as error:
            failed.append(str(error))
            continue
        for remark in found.remarks:
            say(f"note: {remark}")
        say(
            f"{niche}: {found.encoded} encoded, {found.measured} measured; {found.served.info['count']} thumbnails are "
            f"served by {found.served.release_id}"
        )
    if train and len(failed) < len(niches):
        with progress_bars(console) as listener:
            model = refresh_model(lab, lambda: _tracker(lab), listener)
        say(f"model: {model.explanation}")
        say(f"model: {model.served.release_id} is served" if model.served else "model: none is served yet")
    if failed:
        raise LabError("; ".join(failed))


def _tracker(lab: "Lab") -> "Tracker | None":
    """None, and a sentence, where MLflow does not answer: a model can be trained and served without."""
    from thumblab_pipelines.steps.tracking import Tracker

    try:
        return Tracker.connect(lab.settings.mlflow_url)
    except LabError as error:
        click.echo(f"note: the model is not logged: {error}", err=True)
        return None
