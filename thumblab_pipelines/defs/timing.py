"""Define when jobs run, how long they may take, and how urgent they are: schedules, time limits and priorities."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from thumblab_core.database.engine import explained
from thumblab_pipelines.dagster_partitions import add_partitions
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.features.crawl_turn import BACKGROUND_SECONDS
from thumblab_pipelines.youtube.without_key import niches_without_data

HOBART = "Australia/Hobart"

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
"""The states of runs that have not ended. While such a run exists, a sensor starts no second run for the same work."""

NOTHING_TO_DO = dg.SkipReason("no YouTube API key is set, and no niche has videos")

URGENT, DAILY, AFTER_DAILY, BACKGROUND = ({"dagster/priority": str(number)} for number in (10, 5, 4, -5))
"""Tags with the priority of a run, both in the queue of runs and in the pools.

`URGENT`: a person waits for the run, or the run must happen at a certain time, such as an observation of views at a
fixed age. `DAILY`: the run keeps the answers fresh. `AFTER_DAILY`: the run follows the daily runs that wait at the same
time. `BACKGROUND`: the run may wait for days, such as the crawl and the encoding of its videos. A run without a tag has
the priority 0.
"""


def crawl_seconds(context: dg.AssetExecutionContext) -> float:
    """Return for how many seconds a run encodes or measures the crawl's videos.

    The daily refresh gets 0 seconds, because it leaves the crawl's videos to runs in the background. A run in the
    background ends after its time, so that other runs can use the encoder. The sensor `crawl_encoding` starts the next
    run.
    """
    priority = int(context.op_execution_context.get_tag("dagster/priority") or 0)
    return 0.0 if priority >= int(DAILY["dagster/priority"]) else BACKGROUND_SECONDS


def max_runtime(hours: float) -> dict[str, str]:
    """Return a tag that makes Dagster end a run which takes longer than `hours` hours."""
    return {"dagster/max_runtime": str(round(3_600 * hours))}


def niche_schedule(
    name: str,
    job: Any,
    cron: str,
    description: str,
    running: bool = True,
    timespec: str = "day",
) -> dg.ScheduleDefinition:
    """Return a schedule that runs `job` for every niche that has something to work on. `job` is a result of
    `define_asset_job`.

    `cron`: a cron expression in the time of Hobart. `running`: whether the schedule is on by default. `timespec`:
    precision of the run key. With "day", at most one run of each niche starts per day. With "minutes", at most one run
    of each niche starts per minute.
    """

    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone=HOBART,
        default_status=dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED,
        description=description,
    )
    def run_every_niche(
        context: dg.ScheduleEvaluationContext, lab: LabResource
    ) -> Iterator[dg.RunRequest | dg.SkipReason]:
        due = context.scheduled_execution_time
        moment = due.date().isoformat() if timespec == "day" else due.isoformat(timespec=timespec)
        with explained():
            opened = lab.open()
            niches, without_data = opened.niches, niches_without_data(opened)
        # A niche may be so new that the sensor `niches` has not seen it yet.
        add_partitions(context.instance, niches)
        for niche in niches:
            if niche not in without_data:
                yield dg.RunRequest(partition_key=niche, run_key=f"{moment}/{niche}")
        if without_data and without_data.issuperset(niches):
            yield NOTHING_TO_DO

    return run_every_niche


def lab_schedule(name: str, job: Any, cron: str, description: str) -> dg.ScheduleDefinition:
    """Return a schedule that runs `job` once for the whole lab, unless no niche has anything to work on.

    The arguments have the same meaning as for `niche_schedule`.
    """

    @dg.schedule(
        name=name,
        job=job,
        cron_schedule=cron,
        execution_timezone=HOBART,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=description,
    )
    def run_lab(lab: LabResource) -> dg.RunRequest | dg.SkipReason:
        with explained():
            opened = lab.open()
            without_data = niches_without_data(opened)
            return NOTHING_TO_DO if without_data and without_data.issuperset(opened.niches) else dg.RunRequest()

    return run_lab
