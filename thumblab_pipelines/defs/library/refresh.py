"""The daily refresh of every library."""

from collections.abc import Iterator

import dagster as dg

from thumblab_pipelines.defs.timing import HOBART, every_niche

refresh_library = dg.define_asset_job(
    "refresh_library",
    selection=dg.AssetSelection.groups("library"),
    description="Collect, embed, index and serve the library of a niche.",
)


@dg.schedule(
    job=refresh_library,
    cron_schedule="0 3 * * *",
    execution_timezone=HOBART,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every niche, daily at 03:00 in Hobart.",
)
def daily_refresh(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
    yield from every_niche(context.scheduled_execution_time.date().isoformat())
