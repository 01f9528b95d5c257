"""`thumblab report`: reports on what the lab has collected."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from thumblab_cli.niche_type import NICHE
from thumblab_cli.which_lab import demo_option

if TYPE_CHECKING:
    from thumblab_core.settings import Settings


@click.group()
def command() -> None:
    """Report how the winners of a niche differ from other videos."""


@command.command()
@click.argument("name", type=NICHE, metavar="NICHE")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--html",
    "page",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the report to this file: one page with pictures, which you can send to somebody.",
)
@demo_option
def niche(name: str, as_json: bool, page: Path | None, chosen: "Settings") -> None:
    """Report how winners in NICHE differ from other videos of the same channels.

    The report is made from the present data and is not stored. NICHE is one of the lab's niches, such as tech. See
    docs/niche-report.md.
    """
    from thumblab_cli.printing.niche_report import print_report
    from thumblab_cli.printing.tables import wide_console
    from thumblab_pipelines.lab import Lab
    from thumblab_pipelines.niche_report.page import html, shown_videos
    from thumblab_pipelines.niche_report.report import make_report

    lab = Lab.existing(chosen)
    made = make_report(lab, name)
    if page is not None:
        page.write_text(html(made.report, shown_videos(lab, made)), encoding="utf-8")
    if as_json:
        click.echo(json.dumps(made.report.model_dump(mode="json"), indent=2))
    else:
        print_report(wide_console(), made.report)
    if page is not None:
        click.echo(f"The report is in {page}.", err=True)
