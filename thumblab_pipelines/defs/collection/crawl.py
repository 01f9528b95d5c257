"""Define the job and the schedule of the crawl, which collects videos for training."""

import dagster as dg

from thumblab_pipelines.defs.timing import BACKGROUND, niche_schedule

crawl_corpus = dg.define_asset_job(
    "crawl_corpus",
    selection=dg.AssetSelection.assets("crawled_videos"),
    description="Continue the crawl for training videos until today's quota is spent.",
    tags=BACKGROUND,
)

daily_crawl = niche_schedule(
    "daily_crawl",
    crawl_corpus,
    # Schedules use the time of Hobart. YouTube resets the quota at midnight in California, which is 17:00, 18:00 or
    # 19:00 in Hobart, depending on the season. At 19:30, a new day of the quota has always begun.
    "30 19 * * *",
    "Crawls every niche, daily at 19:30 in Hobart. This schedule is off until you turn it on.",
    # The schedule is off by default, because a crawl may spend most of a day's quota.
    running=False,
)
