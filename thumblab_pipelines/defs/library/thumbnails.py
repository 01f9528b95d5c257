"""thumbnails: the picture of every video of the niche, in the image store."""

import dagster as dg

from thumblab_pipelines.collection.download import check_thumbnails, download_thumbnails
from thumblab_pipelines.defs.checks import blocking, explained, results
from thumblab_pipelines.defs.groups import LIBRARY
from thumblab_pipelines.defs.resources import LabResource


@dg.asset(
    deps=["raw_videos", "videos"],
    kinds={"python", "postgres"},
    check_specs=blocking("thumbnails", "mostly_readable", "stored"),
    description=(
        "Thumbnails by the SHA-256 of their bytes, in the best size on offer; one that cannot be read is recorded with the "
        "reason. Asked for again from time to time: what a creator changed is kept as a version of its own."
    ),
    **LIBRARY,
)
def thumbnails(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        found = download_thumbnails(lab.open(), context.partition_key, lab.progress(context))
        verdicts = check_thumbnails(lab.open(), context.partition_key)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": found.had + found.downloaded,
            "downloaded": found.downloaded,
            "downloaded_bytes": found.bytes,
            "had_already": found.had,
            "rechecked": found.rechecked,
            "unchanged": found.unchanged,
            "changed": found.changed,
            "gone": found.gone,
            "duplicates": found.duplicates,
            "near_duplicates": found.near_duplicates,
            "unreadable": found.unreadable,
            "postponed": found.postponed,
        },
        check_results=results(verdicts),
    )
