"""The jobs and schedules that observe view counts and apply retention."""

from collections.abc import Iterator

import dagster as dg

from thumblab_pipelines.defs.timing import HOBART, every_niche, max_runtime

observe_views = dg.define_asset_job(
    "observe_views",
    selection=dg.AssetSelection.assets("view_history"),
    description="Observe the counts of the videos that are due.",
    tags=max_runtime(hours=2),
)


@dg.schedule(
    job=observe_views,
    cron_schedule="15 */6 * * *",
    execution_timezone=HOBART,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Observes every niche, every six hours.",
)
def frequent_observation(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    yield from every_niche(context.scheduled_execution_time.isoformat(timespec="minutes"))


apply_retention = dg.define_asset_job(
    "apply_retention",
    selection=dg.AssetSelection.assets("retention"),
    description="Refresh videos before they are too old, and delete what is gone or expired.",
    tags=max_runtime(hours=2),
)


@dg.schedule(
    job=apply_retention,
    # After the daily refresh, and before the training on Mondays, so that no model is trained on deleted videos.
    cron_schedule="30 4 * * *",
    execution_timezone=HOBART,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Applies retention to every niche, daily at 04:30 in Hobart.",
)
def daily_retention(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    yield from every_niche(context.scheduled_execution_time.date().isoformat())
