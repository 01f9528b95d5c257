"""The job and the schedule of the crawl for training videos."""

import dagster as dg

from thumblab_pipelines.defs.timing import niche_schedule

crawl_corpus = dg.define_asset_job(
    "crawl_corpus",
    selection=dg.AssetSelection.assets("crawled_videos"),
    description="Continue the crawl for training videos, as far as today's quota reaches.",
)

daily_crawl = niche_schedule(
    "daily_crawl",
    crawl_corpus,
    # After midnight in California, when the quota is reset: 17:00, 18:00 or 19:00 in Hobart, by the season.
    "30 19 * * *",
    "Crawls every niche, daily at 19:30 in Hobart; turn it on to crawl.",
    # Off by default, because it may spend most of a day's quota.
    running=False,
)
