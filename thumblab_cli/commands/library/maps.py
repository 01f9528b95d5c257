"""`thumblab library`: show the clusters of a library's map, or export its points."""

import csv
import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from thumblab_cli.niche_type import NicheType
from thumblab_cli.which_lab import demo_option
from thumblab_core.errors import LabError
from thumblab_core.releases.place import release_place
from thumblab_core.releases.release import ALL, Release

if TYPE_CHECKING:
    from thumblab_core.settings import Settings

_SCOPE = NicheType(ALL)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet reads a text as a formula if the text begins with one of these characters."""


@click.group()
def command() -> None:
    """Show the clusters of a library's map, or export its points. See docs/library-map.md."""


@command.command()
@click.argument("scope", type=_SCOPE, metavar="NICHE")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@demo_option
def clusters(scope: str, as_json: bool, chosen: "Settings") -> None:
    """List the groups of similar thumbnails of NICHE, with their labels, traits, outlier multiples and growth.

    NICHE is one of the lab's niches, such as tech, or all.
    """
    from thumblab_cli.printing.library_clusters import print_clusters
    from thumblab_cli.printing.tables import wide_console
    from thumblab_core.library_map.clusters import CLUSTERS, read_clusters

    release = _served(chosen, scope)
    found = read_clusters(release.read(CLUSTERS))
    if as_json:
        listed = [cluster.model_dump(mode="json") for cluster in found]
        document = {"niche": scope, "release": release.release_id, "made_at": release.created_at}
        click.echo(json.dumps(document | {"videos": release.info["videos"], "clusters": listed}, indent=2))
    else:
        print_clusters(wide_console(), release, found)


@command.command()
@click.argument("scope", type=_SCOPE, metavar="NICHE")
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write. Its name ends in .csv or .parquet.",
)
@demo_option
def export(scope: str, out: Path, chosen: "Settings") -> None:
    """Write the videos on the map of NICHE to a file: places, titles, channels, figures, clusters and sub-scores.

    NICHE is one of the lab's niches, such as tech, or all. In a CSV file, a text that a spreadsheet would read as a
    formula gets an apostrophe in front.
    """
    from thumblab_core.library_map.points import POINTS, read_table

    if out.suffix not in (".csv", ".parquet"):
        raise LabError(f"{out}: the name of the file must end in .csv or .parquet")
    table = read_table(_served(chosen, scope).path / POINTS).drop_columns(["tile"])
    unfinished = out.with_name(f".{out.name}.new")
    try:
        if out.suffix == ".parquet":
            import pyarrow.parquet as parquet

            parquet.write_table(table, unfinished)
        else:
            _write_csv(table, unfinished)
        unfinished.replace(out)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink()
        raise LabError(f"{out} cannot be written ({error.strerror or error})") from error
    click.echo(f"{table.num_rows} videos are in {out}.", err=True)


def _served(chosen: "Settings", scope: str) -> Release:
    """Return the served map after comparing its files with their checksums. Raise LabError if no map is served."""
    from thumblab_core.data_folder import require_lab
    from thumblab_core.library_map.files import LIBRARY_MAP
    from thumblab_core.releases.release_store import ReleaseStore

    require_lab(chosen.data_dir)
    release = ReleaseStore(release_place(chosen)).serving.current(LIBRARY_MAP, scope)
    if release is None:
        job = "map_all_libraries" if scope == ALL else "map_library"
        raise LabError(f"no map of {scope} is served yet; run the job {job} in Dagster (`thumblab up`)")
    release.verify()
    return release


def _write_csv(table: Any, path: Path) -> None:
    """Write the rows as CSV. An unknown figure is an empty cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table.column_names)
        for batch in table.to_batches(max_chunksize=10_000):
            writer.writerows([_cell(value) for value in row.values()] for row in batch.to_pylist())


def _cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(_FORMULA) else value
    # An unknown figure is None or NaN. Only NaN differs from itself.
    return "" if value is None or value != value else value
