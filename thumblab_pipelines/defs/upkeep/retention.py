"""retention: nothing older than it may be, nothing that is gone."""

from datetime import timedelta

import dagster as dg

from thumblab_pipelines.checks import finished
from thumblab_pipelines.defs.checks import Confirmation, advisory, blocking, explained, results
from thumblab_pipelines.defs.groups import UPKEEP, niche_partitions
from thumblab_pipelines.defs.quota_metadata import quota_metadata
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.retention.retention import check_retention, retain
from thumblab_pipelines.videos.deletion import CHECK


@dg.asset(
    deps=["videos"],
    partitions_def=niche_partitions,
    kinds={"youtube", "postgres"},
    check_specs=[*blocking("retention", "forgotten_everywhere", CHECK), *advisory("retention", "finished")],
    description="Refreshes what YouTube told before it is 30 days old, and forgets removed, private and expired videos: in "
    "every table, image and release but those of models (docs/retention.md).",
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=49), warn_window=timedelta(hours=26)),
    **UPKEEP,
)
def retention(context: dg.AssetExecutionContext, config: Confirmation, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        kept = retain(lab.open(), context.partition_key, lab.progress(context), context.run.run_id, config.confirmed)
        verdicts = check_retention(lab.open(), context.partition_key, kept)
    for channel, why in kept.histories.failed.items():
        context.log.warning(f"the history of {channel} still holds forgotten videos: {why}")
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": kept.videos,
            "refreshed": kept.refreshed,
            "forgotten": kept.forgotten,
            "images_deleted": kept.images_deleted,
            "releases_deleted": kept.releases_deleted,
            "histories_cleaned": kept.histories.cleaned,
            "histories_failed": len(kept.histories.failed),
            "unfinished_trainings_deleted": kept.unfinished_deleted,
            "state": kept.stopped or "complete",
            **quota_metadata(kept.quota),
        },
        check_results=results([*verdicts, finished(kept.stopped)]),
    )
