"""Define the job that sends the daily summary, and its schedule."""

import os
from datetime import UTC, datetime

import dagster as dg

from thumblab_core.keys.secret_texts import secret_texts
from thumblab_core.monitoring.watch_state import changing_state, read_state
from thumblab_core.settings import settings
from thumblab_pipelines.alerts.delivery import announce, channels
from thumblab_pipelines.alerts.summary import summarise
from thumblab_pipelines.alerts.summary_text import summary_message
from thumblab_pipelines.defs.alerts.watch import dagster_page
from thumblab_pipelines.defs.checks import explained
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.defs.timing import HOBART, max_runtime


@dg.op(
    description="Writes the summary of the last 24 hours to the log. The sensor `alerts` then sends it.",
)
def summarise_day(context: dg.OpExecutionContext, lab: LabResource) -> None:
    with explained():
        chosen, now = lab.chosen(), datetime.now(UTC)
        message = summary_message(summarise(chosen, read_state(chosen.data_dir), now), dagster_page(chosen))
        for line in (message.title, *message.lines):
            context.log.info(line)
        with changing_state(chosen.data_dir) as state:
            announce(state, [message], channels(chosen), now, secret_texts(chosen, os.environ))


@dg.job(
    description="Sends the summary of the last day: refreshes, videos, quota, models, releases, checks, disk and alerts.",
    tags=max_runtime(hours=1),
)
def send_summary() -> None:
    summarise_day()


@dg.schedule(
    job=send_summary,
    # By 07:00, the daily checks of the whole lab have ended, so the summary includes their results.
    cron_schedule="0 7 * * *",
    execution_timezone=HOBART,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Sends the summary of the last day, daily at 07:00 in Hobart, if the settings name a chat or a mail server.",
)
def daily_summary() -> dg.RunRequest | dg.SkipReason:
    if channels(settings()):
        return dg.RunRequest()
    return dg.SkipReason("no alert channel is set, see docs/alerts.md; `thumblab summary` prints the summary")
