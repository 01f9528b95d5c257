"""raw_videos: what trends in the niche, and the recent uploads of the channels that trend."""

import dagster as dg

from thumblab_pipelines.checks import finished
from thumblab_pipelines.collection.refresh import check_collection, collect
from thumblab_pipelines.defs.checks import advisory, blocking, explained, results
from thumblab_pipelines.defs.groups import LIBRARY
from thumblab_pipelines.defs.quota_metadata import quota_metadata
from thumblab_pipelines.defs.resources import LabResource


@dg.asset(
    kinds={"youtube", "postgres"},
    check_specs=[*blocking("raw_videos", "collected", "plausible"), *advisory("raw_videos", "finished")],
    description="Videos, channels and one observation of the counts of each, from the YouTube Data API.",
    **LIBRARY,
)
def raw_videos(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        found = collect(lab.open(), context.partition_key, lab.progress(context))
        verdicts = [*check_collection(lab.open(), context.partition_key), finished(found.stopped)]
    for remark in found.remarks:
        context.log.warning(remark)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": found.seen,
            "new_videos": found.new_videos,
            "new_observations": found.new_observations,
            "channels_walked": found.channels_walked,
            "trending_from": found.trending_from,
            "formats": found.formats,
            "remarks": "; ".join(found.remarks) or "none",
            "state": found.stopped or "complete",
            **quota_metadata(found.quota),
        },
        check_results=results(verdicts),
    )
