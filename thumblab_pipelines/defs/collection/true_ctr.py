"""true_ctr: impressions and click-through rate of the owner's own videos, day by day."""

import dagster as dg

from thumblab_pipelines.defs.checks import blocking, explained, results
from thumblab_pipelines.defs.groups import COLLECTION
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.owner_ctr.reach import check_reach, import_reach


@dg.asset(
    kinds={"youtube", "postgres"},
    check_specs=blocking("true_ctr", "readable", "plausible"),
    description="The YouTube Reporting API's reach of one's own channel. Needs a sign-in of its owner, so it is in no "
    "schedule: see docs/own-channel.md.",
    **COLLECTION,
)
def true_ctr(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        found = import_reach(lab.open(), lab.progress(context))
    if found.note:
        context.log.info(found.note)
    for remark in found.remarks:
        context.log.warning(remark)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": found.rows,
            "reports": found.reports,
            "corrected_reports": found.corrected,
            "new_days": found.new_days,
            "last_day": str(found.last_day or ""),
            "videos": found.videos,
            "videos_in_library": found.in_library,
            "rows_skipped": len(found.problems),
            "note": found.note,
            "remarks": "; ".join(found.remarks) or "none",
        },
        check_results=results(check_reach(found)),
    )
