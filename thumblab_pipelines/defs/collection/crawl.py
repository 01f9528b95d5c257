"""The job and the schedule of the crawl for training videos."""

from collections.abc import Iterator

import dagster as dg

from thumblab_pipelines.defs.timing import HOBART, every_niche

crawl_corpus = dg.define_asset_job(
    "crawl_corpus",
    selection=dg.AssetSelection.assets("crawled_videos"),
    description="Continue the crawl for training videos, as far as today's quota reaches.",
)


@dg.schedule(
    job=crawl_corpus,
    # After midnight in California, when the quota is reset: 17:00, 18:00 or 19:00 in Hobart, by the season.
    cron_schedule="30 19 * * *",
    execution_timezone=HOBART,
    # Off by default, because it may spend most of a day's quota.
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Crawls every niche, daily at 19:30 in Hobart; turn it on to crawl.",
)
def daily_crawl(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    yield from every_niche(context.scheduled_execution_time.date().isoformat())
