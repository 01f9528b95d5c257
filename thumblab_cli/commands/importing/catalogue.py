"""`thumblab import`: read a catalogue into the lab."""

import json
from dataclasses import asdict
from pathlib import Path

import click


@click.command(name="import")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--serve", is_flag=True, help="After the import, encode, index, serve and train as `thumblab refresh` does."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(folder: Path, serve: bool, as_json: bool) -> None:
    """Read FOLDER/videos.csv and its images into the lab.

    The required columns are video_id, niche, channel, title, views, published_on, observed_at and image. The optional
    columns are duration_s and tags.

    A row that cannot be read is reported and skipped. The exit status is 1 if no row could be read, or if --serve
    fails.
    """
    from rich.console import Console

    from thumblab_cli.printing.imports import print_import
    from thumblab_cli.printing.tables import progress_bars
    from thumblab_pipelines.collection.catalogue import import_catalogue
    from thumblab_pipelines.lab import Lab

    console = Console(stderr=as_json)
    lab = Lab.open()
    with progress_bars(console) as listener:
        report = import_catalogue(lab, folder, listener)
    if as_json:
        shown = {name: value for name, value in asdict(report).items() if name not in ("video_ids", "niches")}
        click.echo(json.dumps(shown, indent=2))
    else:
        print_import(console, report)
    if serve:
        from thumblab_cli.commands.refresh import serve as serve_niches

        serve_niches(console, lab, sorted(report.niches), train=True)
    elif not as_json:
        niches = " ".join(sorted(report.niches))
        console.print(
            f"Next: `thumblab refresh {niches}` serves the catalogue; `thumblab evaluate` measures what a model can learn "
            "from the catalogue"
        )
