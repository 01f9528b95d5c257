"""`thumblab demo`: run the whole lab once, from an empty folder to a ranking, without a key or a network."""

from pathlib import Path

import click


@click.command(name="demo")
@click.option(
    "--catalogue",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Collect the videos of the catalogue in this folder (videos.csv and images), not of the synthetic catalogue.",
)
def command(catalogue: Path | None) -> None:
    """Collect videos from a YouTube emulator, embed and index them, train and serve a model, and rank three thumbnails.

    A second run uses the results of the first run. The second run downloads, encodes and trains nothing again.
    """
    from thumblab_cli.demo.walkthrough import walk_through
    from thumblab_cli.printing.tables import wide_console

    walk_through(wide_console(), catalogue)
