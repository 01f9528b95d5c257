"""The lab keeps Hobart time."""

from collections.abc import Iterator

import dagster as dg

from thumblab_core.niches import NICHES
from thumblab_pipelines.defs.jobs import refresh_library, train_ranker

HOBART = "Australia/Hobart"


@dg.schedule(
    job=refresh_library,
    cron_schedule="0 3 * * *",
    execution_timezone=HOBART,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every niche, daily at 03:00 in Hobart.",
)
def daily_refresh(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    day = context.scheduled_execution_time.date().isoformat()
    for niche in NICHES:
        yield dg.RunRequest(partition_key=niche, run_key=f"{day}/{niche}")


weekly_training = dg.ScheduleDefinition(
    name="weekly_training",
    job=train_ranker,
    # After the daily refresh, which takes far less than two hours.
    cron_schedule="0 5 * * 1",
    execution_timezone=HOBART,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Mondays at 05:00 in Hobart, on the library of that morning.",
)
