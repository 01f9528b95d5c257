"""The lab keeps Hobart time."""

from collections.abc import Iterator

import dagster as dg

from thumblab_core.niches import NICHES
from thumblab_pipelines.defs.jobs import (
    apply_retention,
    crawl_corpus,
    observe_views,
    refresh_library,
    train_ranker,
)

HOBART = "Australia/Hobart"


def _every_niche(moment: str) -> Iterator[dg.RunRequest]:
    for niche in NICHES:
        yield dg.RunRequest(partition_key=niche, run_key=f"{moment}/{niche}")


@dg.schedule(
    job=refresh_library,
    cron_schedule="0 3 * * *",
    execution_timezone=HOBART,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every niche, daily at 03:00 in Hobart.",
)
def daily_refresh(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    yield from _every_niche(context.scheduled_execution_time.date().isoformat())


@dg.schedule(
    job=apply_retention,
    # After the daily refresh, and before the training of Mondays, so that nothing is learnt from what is gone.
    cron_schedule="30 4 * * *",
    execution_timezone=HOBART,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every niche, daily at 04:30 in Hobart.",
)
def daily_retention(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    yield from _every_niche(context.scheduled_execution_time.date().isoformat())


@dg.schedule(
    job=observe_views,
    cron_schedule="15 */6 * * *",
    execution_timezone=HOBART,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every niche, every six hours.",
)
def frequent_observation(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    yield from _every_niche(context.scheduled_execution_time.isoformat(timespec="minutes"))


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
    yield from _every_niche(context.scheduled_execution_time.date().isoformat())


weekly_training = dg.ScheduleDefinition(
    name="weekly_training",
    job=train_ranker,
    # After the daily refresh, which takes far less than two hours.
    cron_schedule="0 5 * * 1",
    execution_timezone=HOBART,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Mondays at 05:00 in Hobart, on the library of that morning.",
)
