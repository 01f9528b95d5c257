"""Define the asset `view_history`: the observed counts of videos, and the views at fixed ages computed from them."""

from datetime import timedelta

import dagster as dg

from thumblab_pipelines.checks import finished
from thumblab_pipelines.collection.observe import check_observation, observe
from thumblab_pipelines.defs.checks import FINISHED, NOT_TOO_MANY, Confirmation, advisory, blocking, explained, results
from thumblab_pipelines.defs.collecting_metadata import collecting_metadata
from thumblab_pipelines.defs.groups import BY_NICHE, UPKEEP, YOUTUBE
from thumblab_pipelines.defs.kept import about
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.features.views_at_age import compute_views_at_age


@dg.asset(
    deps=["videos"],
    kinds={"youtube", "postgres"},
    pool=YOUTUBE,
    check_specs=[
        *blocking(
            "view_history",
            answered="Of the videos that were due for an observation, at most half are gone from YouTube.",
            **NOT_TOO_MANY,
        ),
        *advisory("view_history", **FINISHED),
    ],
    description="Observes the counts of every video that is due: every 6 hours up to an age of 3 days, daily up to two "
    "weeks, and weekly up to three months. 50 videos cost one call of a separate quota bucket.",
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=25), warn_window=timedelta(hours=13)),
    **about("view_history", "view-histories.md", observe, compute_views_at_age, check_observation),
    **BY_NICHE,
    **UPKEEP,
)
def view_history(context: dg.AssetExecutionContext, config: Confirmation, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        observed = observe(lab.open(), context.partition_key, lab.progress(context), config.confirmed)
        at_age = compute_views_at_age(lab.open(), context.partition_key)
    for remark in observed.remarks:
        context.log.info(remark)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": observed.observed,
            "due": observed.due,
            "gone": observed.gone,
            **{f"views_at_{age}_h": count for age, count in at_age.known.items()},
            **collecting_metadata(observed),
        },
        check_results=results([*check_observation(observed), finished(observed.stopped)]),
    )
