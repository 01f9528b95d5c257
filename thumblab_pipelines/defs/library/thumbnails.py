"""Define the asset `thumbnails`: the picture of every video of the niche, in the image store."""

import dagster as dg

from thumblab_pipelines.collection.download import check_thumbnails, download_thumbnails
from thumblab_pipelines.defs.checks import blocking, explained, results
from thumblab_pipelines.defs.groups import LIBRARY
from thumblab_pipelines.defs.kept import about
from thumblab_pipelines.defs.previews import picture_preview
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.previews.contact_sheet import contact_sheet


@dg.asset(
    deps=["raw_videos", "videos"],
    kinds={"python", "postgres"},
    check_specs=blocking(
        "thumbnails",
        mostly_readable="At least half of the niche's thumbnails could be downloaded and read.",
        stored="The image store has the file of each sampled thumbnail.",
    ),
    description=(
        "Thumbnails in the largest size available, stored under the SHA-256 of their bytes. If a thumbnail cannot be "
        "read, the reason is recorded. Thumbnails are downloaded again from time to time, and a change is kept as a "
        "new "
        "version."
    ),
    **about("thumbnails", "pictures.md", download_thumbnails, check_thumbnails),
    **LIBRARY,
)
def thumbnails(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        report = download_thumbnails(lab.open(), context.partition_key, lab.progress(context))
        check_results = check_thumbnails(lab.open(), context.partition_key)
        shown = picture_preview(context, contact_sheet(lab.open(), context.partition_key))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": report.had + report.downloaded,
            "downloaded": report.downloaded,
            "downloaded_bytes": report.bytes,
            "had_already": report.had,
            "rechecked": report.rechecked,
            "unchanged": report.unchanged,
            "changed": report.changed,
            "gone": report.gone,
            "duplicates": report.duplicates,
            "near_duplicates": report.near_duplicates,
            "unreadable": report.unreadable,
            "postponed": report.postponed,
            **shown,
        },
        check_results=results(check_results),
    )
