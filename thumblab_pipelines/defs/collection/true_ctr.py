"""Define the asset `true_ctr`, which imports daily impressions and click-through rates of the videos of your own
channels."""

import dagster as dg

from thumblab_pipelines.defs.checks import blocking, explained, results
from thumblab_pipelines.defs.collecting_metadata import remarks_metadata
from thumblab_pipelines.defs.groups import COLLECTION
from thumblab_pipelines.defs.kept import about
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.owner_ctr.reach import check_reach, import_reach


@dg.asset(
    deps=["videos"],
    kinds={"youtube", "postgres"},
    check_specs=blocking(
        "true_ctr",
        readable="No report was refused, and nearly all rows of the reports could be read.",
        plausible="The share of the impressions that were clicked is plausible.",
    ),
    description="Daily impressions and click-through rates of your own channel, from the YouTube Reporting API. No "
    "schedule runs this asset, because the channel's owner must sign in: see docs/own-channel.md.",
    **about("true_ctr", "own-channel.md", import_reach, check_reach),
    **COLLECTION,
)
def true_ctr(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        reach = import_reach(lab.open(), lab.progress(context))
    if reach.note:
        context.log.info(reach.note)
    for remark in reach.remarks:
        context.log.warning(remark)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": reach.rows,
            "reports": reach.reports,
            "corrected_reports": reach.corrected,
            "new_days": reach.new_days,
            "last_day": str(reach.last_day or ""),
            "videos": reach.videos,
            "videos_in_library": reach.in_library,
            "rows_skipped": len(reach.problems),
            "note": reach.note,
            "remarks": remarks_metadata(reach.remarks),
        },
        check_results=results(check_reach(reach)),
    )
