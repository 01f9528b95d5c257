"""Define the asset `crawled_videos`. It collects videos for training from the uploads of many channels of a niche."""

from datetime import timedelta

import dagster as dg

from thumblab_pipelines.checks import finished
from thumblab_pipelines.collection.crawl import check_crawl, crawl
from thumblab_pipelines.defs.checks import advisory, blocking, explained, results
from thumblab_pipelines.defs.groups import COLLECTION, niche_partitions
from thumblab_pipelines.defs.quota_metadata import quota_metadata
from thumblab_pipelines.defs.resources import LabResource


@dg.asset(
    partitions_def=niche_partitions,
    kinds={"youtube", "postgres"},
    check_specs=[*blocking("crawled_videos", "corpus"), *advisory("crawled_videos", "finished")],
    description="Every upload of the niche's channels from the last 90 days that is fit for training. The crawl stops "
    "when the day's quota is spent, and the next run continues it. `thumblab crawl plan` estimates the cost.",
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(days=30), warn_window=timedelta(days=14)),
    **COLLECTION,
)
def crawled_videos(context: dg.AssetExecutionContext, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        crawled = crawl(lab.open(), context.partition_key, lab.progress(context))
    counted = crawled.counted
    for remark in crawled.remarks:
        context.log.warning(remark)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": counted.kept,
            "looked_at_now": crawled.videos_looked_at,
            "videos_waiting": counted.videos_waiting,
            "channels": counted.channels,
            "channels_to_walk": counted.channels_to_walk,
            "channels_excluded": counted.channels_excluded,
            "videos_by_outcome": counted.videos,
            "remarks": "; ".join(crawled.remarks) or "none",
            "state": crawled.stopped or "complete",
            **quota_metadata(crawled.quota),
        },
        check_results=results([*check_crawl(crawled), finished(crawled.stopped)]),
    )
