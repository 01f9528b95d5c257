"""Define the asset `raw_videos`: trending videos of the niche, and recent uploads of channels with trending videos."""

import dagster as dg

from thumblab_pipelines.checks import finished
from thumblab_pipelines.collection.refresh import check_collection, collect
from thumblab_pipelines.defs.checks import FINISHED, advisory, blocking, explained, results
from thumblab_pipelines.defs.collecting_metadata import collecting_metadata
from thumblab_pipelines.defs.groups import LIBRARY, YOUTUBE
from thumblab_pipelines.defs.kept import about
from thumblab_pipelines.defs.resources import LabResource


@dg.asset(
    kinds={"youtube", "postgres"},
    pool=YOUTUBE,
    check_specs=[
        *blocking(
            "raw_videos",
            collected="The lab has at least one video of the niche.",
            plausible="No video was published after it was last seen, and at least half of the observations have a "
            "count of views.",
        ),
        *advisory("raw_videos", **FINISHED),
    ],
    description="Videos, their channels, and one observation of the counts of each video, from the YouTube Data API.",
    **about("raw_videos", "collection.md", collect, check_collection),
    **LIBRARY,
)
def raw_videos(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        collected = collect(lab.open(), context.partition_key, lab.progress(context))
        check_results = [*check_collection(lab.open(), context.partition_key), finished(collected.stopped)]
    for remark in collected.remarks:
        context.log.warning(remark)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": collected.seen,
            "new_videos": collected.new_videos,
            "new_observations": collected.new_observations,
            "channels_walked": collected.channels_walked,
            "trending_from": collected.trending_from,
            "formats": collected.formats,
            **collecting_metadata(collected),
        },
        check_results=results(check_results),
    )
