"""Define the asset `retention`, which deletes videos that are too old or that are no longer on YouTube."""

from datetime import timedelta

import dagster as dg

from thumblab_pipelines.checks import finished
from thumblab_pipelines.dagster_observations import observed_moves
from thumblab_pipelines.defs.checks import FINISHED, NOT_TOO_MANY, Confirmation, advisory, blocking, explained, results
from thumblab_pipelines.defs.collecting_metadata import collecting_metadata
from thumblab_pipelines.defs.groups import BY_NICHE, UPKEEP, YOUTUBE
from thumblab_pipelines.defs.kept import about
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.retention.retention import check_retention, retain


@dg.asset(
    deps=["videos"],
    kinds={"youtube", "postgres"},
    pool=YOUTUBE,
    check_specs=[
        *blocking(
            "retention",
            forgotten_everywhere="No index and no library map of the niche still contains a deleted video.",
            **NOT_TOO_MANY,
        ),
        *advisory("retention", **FINISHED),
    ],
    description="Refreshes the data of each video of a niche before it is 30 days old. Deletes removed, private and "
    "expired videos from all tables, and from the indices and maps of the niche (docs/retention.md).",
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=49), warn_window=timedelta(hours=26)),
    **about("retention", "retention.md", retain, check_retention),
    **BY_NICHE,
    **UPKEEP,
)
def retention(context: dg.AssetExecutionContext, config: Confirmation, lab: LabResource) -> dg.MaterializeResult:
    with explained():
        opened, niche = lab.open(), context.partition_key
        with observed_moves(opened, context, "retention"):
            retained = retain(opened, niche, lab.progress(context), context.run.run_id, config.confirmed)
            checks = check_retention(opened, niche, retained)
    for remark in retained.remarks:
        context.log.info(remark)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": retained.videos,
            "refreshed": retained.refreshed,
            "forgotten": retained.deleted,
            "releases_deleted": retained.releases_deleted,
            **collecting_metadata(retained),
        },
        check_results=results([*checks, finished(retained.stopped)]),
    )
