"""The options of the commands that read exports of YouTube Studio."""

from collections.abc import Sequence

import click


def _columns(context: click.Context, option: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    """Parse the options `--column NAME=COLUMN`. Return a dictionary from each NAME to its COLUMN."""
    from thumblab_pipelines.owner_ctr.studio_column_names import FIELDS

    columns: dict[str, str] = {}
    for text in given:
        name, mark, column = text.partition("=")
        if not mark or not column.strip():
            raise click.BadParameter(f"{text!r} is not of the form NAME=COLUMN, such as rate='Click rate (%)'")
        if name not in FIELDS:
            raise click.BadParameter(f"{name!r} is not a known figure; use one of {', '.join(FIELDS)}")
        columns[name] = column
    return columns


column_option = click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME=COLUMN",
    callback=_columns,
    help="COLUMN is the name or the number of the export's column with the figure NAME. NAME is video, "
    "title, published, duration, "
    "views, watch_hours, impressions, rate, shown_in_feed or stayed.",
)

as_of_option = click.option(
    "--as-of",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The day (YYYY-MM-DD) on which the exports were made. The default is the day of each file's last change. "
    "If a file's name states a period that ends earlier, the default is the last day of the period.",
)
