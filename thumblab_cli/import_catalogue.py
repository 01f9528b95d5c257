"""thumblab import: a catalogue into the library."""

import json
from dataclasses import asdict
from pathlib import Path

import click


@click.command(name="import")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(folder: Path, as_json: bool) -> None:
    """Read FOLDER/videos.csv and its images into the lab.

    Columns: video_id, niche, channel, title, views, published_on, observed_at, image; optional: duration_s, tags. A row that
    cannot be read is named and skipped. Exits non-zero only when nothing could be read.
    """
    from rich.console import Console

    from thumblab_cli.tables import print_import, progress_bars
    from thumblab_pipelines.steps.catalogue import import_catalogue
    from thumblab_pipelines.steps.lab import Lab

    console = Console(stderr=as_json)
    with progress_bars(console) as listener:
        report = import_catalogue(Lab.open(), folder, listener)
    if as_json:
        said = {name: value for name, value in asdict(report).items() if name not in ("video_ids", "niches")}
        click.echo(json.dumps(said, indent=2))
    else:
        print_import(console, report)
        console.print("Next: materialize embeddings and what follows in Dagster (thumblab up), or thumblab evaluate")
