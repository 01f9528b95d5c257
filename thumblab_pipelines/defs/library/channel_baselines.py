"""Define the asset `channel_baselines`: the views that the videos of each channel usually get."""

import dagster as dg

from thumblab_pipelines.defs.checks import blocking, explained, results
from thumblab_pipelines.defs.groups import LIBRARY
from thumblab_pipelines.defs.kept import about
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.features.baselines import check_baselines, compute_baselines


@dg.asset(
    deps=["raw_videos", "videos"],
    kinds={"postgres"},
    check_specs=blocking("channel_baselines", positive="At most half of the channels have median views of zero."),
    description="Median views and views per hour of channels with at least three videos, per age band and at any age.",
    **about("channel_baselines", "collection.md", compute_baselines, check_baselines),
    **LIBRARY,
)
def channel_baselines(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        baselines = compute_baselines(lab.open(), context.partition_key)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": baselines.channels + sum(baselines.bands.values()),
            "channels": baselines.channels,
            "channels_without_views": baselines.silent,
            "bands": baselines.bands,
            "lowest_median_views_per_hour": round(baselines.lowest, 2),
            "highest_median_views_per_hour": round(baselines.highest, 2),
        },
        check_results=results(check_baselines(baselines)),
    )
