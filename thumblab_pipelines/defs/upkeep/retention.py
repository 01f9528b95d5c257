"""Define the asset `retention`, which deletes videos that are too old or that are no longer on YouTube."""

from collections.abc import Iterator
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
from thumblab_pipelines.retention.retired import retain_retired_niches


@dg.asset(
    deps=["videos"],
    kinds={"youtube", "postgres"},
    pool=YOUTUBE,
    check_specs=[
        *blocking(
            "retention",
            forgotten_everywhere="No index, no library map and no adapter still contains a deleted video.",
            **NOT_TOO_MANY,
        ),
        *advisory("retention", **FINISHED),
    ],
    description="Refreshes the data of each video before it is 30 days old. Deletes removed, private and expired "
    "videos from all tables, images and releases, except the releases of models (docs/retention.md).",
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=49), warn_window=timedelta(hours=26)),
    **about("retention", "retention.md", retain, check_retention, retain_retired_niches),
    **BY_NICHE,
    **UPKEEP,
)
def retention(
    context: dg.AssetExecutionContext, config: Confirmation, lab: LabResource
) -> Iterator[dg.MaterializeResult]:
    failure: Exception | None = None
    with explained():
        opened, niche = lab.open(), context.partition_key
        given = (lab.progress(context), context.run.run_id)
        with observed_moves(opened, context, "retention"):
            try:
                retained = retain(opened, niche, *given, config.confirmed)
                checks = check_retention(opened, niche, retained)
            except Exception as error:  # noqa: BLE001  retired niches are still due; the error is raised below
                failure = error
            retired = retain_retired_niches(opened, niche, *given)
        for name, text in retired.texts.items():
            (context.log.error if name in retired.failures else context.log.info)(f"retired niche {name}: {text}")
        if failure is not None:
            raise failure
    for channel_id, reason in retained.adapters.failed.items():
        context.log.warning(f"the adapter of channel {channel_id} still contains deleted videos: {reason}")
    for remark in retained.remarks:
        context.log.info(remark)
    yield dg.MaterializeResult(
        metadata={
            "dagster/row_count": retained.videos,
            "refreshed": retained.refreshed,
            "forgotten": retained.deleted,
            "images_deleted": retained.images_deleted,
            "releases_deleted": retained.releases_deleted,
            "histories_cleaned": retained.adapters.cleaned,
            "histories_failed": len(retained.adapters.failed),
            "predictions_deleted": retained.predictions_deleted,
            "unfinished_trainings_deleted": retained.unfinished_deleted,
            **collecting_metadata(retained),
            **{f"retired_niche_{name}": text for name, text in retired.texts.items()},
        },
        check_results=results([*checks, finished(retained.stopped)]),
    )
    # An error of a retired niche is raised only here. By now, the figures and checks of this run's own niche are
    # stored.
    with explained():
        retired.raise_failures()
