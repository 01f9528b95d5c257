"""Make the table of the library indexes that the niches serve, and the lines for the hits of a search."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.table import Table

from thumblab_cli.printing.printable import printable
from thumblab_cli.printing.tables import table

if TYPE_CHECKING:  # Only type checkers import these modules here. A command imports the modules when it needs them.
    from thumblab_pipelines.library.search import Hit
    from thumblab_pipelines.library.status import IndexStatus


def status_table(statuses: "Sequence[IndexStatus]") -> Table:
    """Return a table with a row for each niche.

    The table shows when the served release was built, how the index is searched, and the size of all index releases
    together.
    """
    columns = ("niche", "built (UTC)", "pictures", "changed", "search", "recall", "MB")
    rows = table(*columns, words=("niche", "built (UTC)", "search"))
    for status in statuses:
        built = "nothing" if status.created_at is None else status.created_at[:16].replace("T", " ")
        search = (
            (f"{status.count:,}", str(status.changed), status.kind.removeprefix("IDMap,"), f"{status.recall:.3f}")
            if status.release_id
            else [""] * 4
        )
        rows.add_row(status.niche, built, *search, f"{status.bytes / 1e6:,.1f}")
    return rows


def hit_line(hit: "Hit") -> str:
    """Return a line for a hit of a search. The line shows the cosine similarity, niche, video id, title and views."""
    item = hit.item
    multiple = "" if item.outlier_multiple is None else f"{item.outlier_multiple:.1f}x its channel, "
    rate = f"{multiple}{item.views_per_hour:,.0f} views/h"
    return f"{hit.similarity:.4f} {hit.niche:13} {item.video_id:12} {printable(item.title[:60])} ({rate})"
