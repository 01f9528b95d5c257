"""The daily crawl for training videos."""

from collections.abc import Iterator

import dagster as dg

from thumblab_pipelines.defs.timing import HOBART, every_niche

crawl_corpus = dg.define_asset_job(
    "crawl_corpus",
    selection=dg.AssetSelection.assets("crawled_videos"),
    description="Go on with the crawl for training, as far as today's quota reaches.",
)


@dg.schedule(
    job=crawl_corpus,
    # Midnight in California is at 17:00, 18:00 or 19:00 in Hobart, as the clocks stand: by then the quota is whole again.
    cron_schedule="30 19 * * *",
    execution_timezone=HOBART,
    # It may spend most of a day's quota, so a person decides that.
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every niche, daily at 19:30 in Hobart; turn it on to crawl.",
)
def daily_crawl(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    yield from every_niche(context.scheduled_execution_time.date().isoformat())
