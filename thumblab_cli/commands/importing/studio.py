"""`thumblab import-studio`: import the true click-through rates of your own videos from YouTube Studio exports."""

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from thumblab_cli.studio_options import as_of_option, column_option


@click.command(name="import-studio")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@as_of_option
@column_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def command(files: tuple[Path, ...], as_of: datetime | None, columns: dict[str, str], as_json: bool) -> None:
    """Import exports of YouTube Studio into the lab.

    A FILE is the .zip that YouTube Studio makes, or a table in it, in any language. docs/own-channel.md says how to
    export. This command imports only the rates. `thumblab channel add FILE` also imports the videos and their
    thumbnails.

    For each video, the lab keeps the impressions and the click-through rate of the newest export. A row that cannot be
    read is reported and skipped. If a file cannot be read, the other files are imported and the exit status is 1.
    """
    from rich.console import Console

    from thumblab_cli.printing.imports import print_problems
    from thumblab_core.errors import LabError
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.owner_ctr.studio import StudioImport, import_studio, in_library

    console = Console(stderr=as_json)
    lab = Lab.open()
    reports: list[StudioImport] = []
    refused: list[str] = []
    for file in files:
        try:
            reports.append(import_studio(lab, file, as_of.date() if as_of else None, columns))
        except LabError as error:
            refused.append(str(error))
    video_ids = {video_id for report in reports for video_id in report.video_ids}
    collected = in_library(lab, video_ids)
    if as_json:
        totals = {"with_ctr": len(video_ids), "in_library": collected}
        click.echo(
            json.dumps(
                {"files": [asdict(report) for report in reports], "refused": refused, **totals}, indent=2, default=str
            )
        )
    elif reports:
        for report in reports:
            for remark in report.remarks:
                console.print(f"note: {remark}", markup=False, highlight=False, soft_wrap=True)
            print_problems(console, report.problems)
            unchanged = "" if report.new or report.changed else "; nothing has changed"
            tables = f" ({report.tables} tables)" if report.tables > 1 else ""
            console.print(
                f"{report.file}{tables}, as of {report.as_of}: {report.with_ctr} of {report.rows} videos got a true CTR "
                f"({report.new} new, {report.changed} changed, {report.unchanged} unchanged, {report.older} kept from a "
                f"newer export; {report.shorts} Shorts), {len(report.problems)} skipped{unchanged}",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
        console.print(
            f"{len(video_ids)} videos have a true CTR; {collected} of these videos are in the library already."
        )
        if len(video_ids) > collected:
            console.print("The CTR of the other videos is kept until the lab collects these videos.")
    if refused:
        raise LabError("; ".join(refused))
