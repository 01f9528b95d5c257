"""view_history: the counts of tracked videos over time, and the views at a fixed age that they allow."""

from datetime import timedelta

import dagster as dg

from thumblab_pipelines.checks import finished
from thumblab_pipelines.collection.observe import check_observation, observe
from thumblab_pipelines.defs.checks import Confirmation, advisory, blocking, explained, results
from thumblab_pipelines.defs.groups import UPKEEP, niche_partitions
from thumblab_pipelines.defs.quota_metadata import quota_metadata
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.features.views_at_age import compute_views_at_age
from thumblab_pipelines.videos.deletion import CHECK


@dg.asset(
    deps=["videos"],
    partitions_def=niche_partitions,
    kinds={"youtube", "postgres"},
    check_specs=[*blocking("view_history", "answered", CHECK), *advisory("view_history", "finished")],
    description="One more observation of every video that is due: the young every 6 hours, those of two weeks daily, those "
    "of three months weekly. Costs a call of its own quota per 50 videos.",
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=25), warn_window=timedelta(hours=13)),
    **UPKEEP,
)
def view_history(context: dg.AssetExecutionContext, config: Confirmation, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        found = observe(lab.open(), context.partition_key, lab.progress(context), config.confirmed)
        at_age = compute_views_at_age(lab.open(), context.partition_key)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": found.observed,
            "due": found.due,
            "gone": found.gone,
            **{f"views_at_{age}_h": count for age, count in at_age.known.items()},
            "state": found.stopped or "complete",
            **quota_metadata(found.quota),
        },
        check_results=results([*check_observation(found), finished(found.stopped)]),
    )
