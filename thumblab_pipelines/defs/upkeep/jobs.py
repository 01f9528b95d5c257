"""The jobs and schedules that observe views and apply retention."""

from collections.abc import Iterator

import dagster as dg

from thumblab_pipelines.defs.timing import HOBART, every_niche, max_runtime

observe_views = dg.define_asset_job(
    "observe_views",
    selection=dg.AssetSelection.assets("view_history"),
    description="Look again at the counts of the videos that are due.",
    tags=max_runtime(hours=2),
)


@dg.schedule(
    job=observe_views,
    cron_schedule="15 */6 * * *",
    execution_timezone=HOBART,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every niche, every six hours.",
)
def frequent_observation(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    yield from every_niche(context.scheduled_execution_time.isoformat(timespec="minutes"))


apply_retention = dg.define_asset_job(
    "apply_retention",
    selection=dg.AssetSelection.assets("retention"),
    description="Refresh what is about to be too old, and forget what is gone.",
    tags=max_runtime(hours=2),
)


@dg.schedule(
    job=apply_retention,
    # After the daily refresh, and before the training of Mondays, so that nothing is learnt from what is gone.
    cron_schedule="30 4 * * *",
    execution_timezone=HOBART,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every niche, daily at 04:30 in Hobart.",
)
def daily_retention(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    yield from every_niche(context.scheduled_execution_time.date().isoformat())
