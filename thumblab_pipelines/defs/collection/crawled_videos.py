"""Define the asset `crawled_videos`: videos for training, collected from the uploads of many channels of a niche."""

import dagster as dg

from thumblab_pipelines.checks import finished
from thumblab_pipelines.collection.crawl import check_crawl, crawl
from thumblab_pipelines.defs.checks import FINISHED, advisory, blocking, explained, results
from thumblab_pipelines.defs.collecting_metadata import collecting_metadata
from thumblab_pipelines.defs.groups import BY_NICHE, COLLECTION, YOUTUBE
from thumblab_pipelines.defs.kept import about
from thumblab_pipelines.defs.resources import LabResource


@dg.asset(
    kinds={"youtube", "postgres"},
    pool=YOUTUBE,
    check_specs=[
        *blocking("crawled_videos", corpus="The crawl kept at least one video of the niche."),
        *advisory("crawled_videos", **FINISHED),
    ],
    description="Those uploads of the niche's channels that are fit for training and at most 90 days old. The crawl "
    "stops when the day's quota is spent, and the next run continues it. `thumblab crawl plan` estimates the cost.",
    **about("crawled_videos", "collection.md", crawl, check_crawl),
    **BY_NICHE,
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
            **collecting_metadata(crawled),
        },
        check_results=results([*check_crawl(crawled), finished(crawled.stopped)]),
    )
