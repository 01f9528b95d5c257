"""Define the asset `lab_retention`, which removes deleted videos from the data that all niches share."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg

from thumblab_pipelines.dagster_observations import observed_moves
from thumblab_pipelines.defs.checks import Confirmation, blocking, explained, results
from thumblab_pipelines.defs.groups import UPKEEP, YOUTUBE
from thumblab_pipelines.defs.kept import about
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.retention.attempts import Attempts
from thumblab_pipelines.retention.lab_clean_up import check_clean_up, clean_lab
from thumblab_pipelines.retention.retired import RetainedNiches, retain_retired_niches


@dg.asset(
    deps=["videos"],
    kinds={"youtube", "postgres"},
    # The steps of `retention` use this pool too. So this step starts after the steps of `retention` that were queued
    # before it.
    pool=YOUTUBE,
    check_specs=blocking(
        "lab_retention",
        forgotten_everywhere="Neither the map of all niches nor a channel adapter still contains a deleted video.",
    ),
    description="Removes deleted videos from the data that all niches share: pictures, faces, training pairs, the map "
    "of all niches and channel adapters. Refreshes and deletes the videos of retired niches (docs/retention.md).",
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=49), warn_window=timedelta(hours=26)),
    **about("lab_retention", "retention.md", clean_lab, check_clean_up, retain_retired_niches),
    **UPKEEP,
)
def lab_retention(
    context: dg.AssetExecutionContext, config: Confirmation, lab: LabResource
) -> Iterator[dg.MaterializeResult]:
    attempts = Attempts()
    with explained():
        opened = lab.open()
        given = (lab.progress(context), context.run.run_id, config.confirmed)
        with observed_moves(opened, context, "lab_retention"):
            retired = attempts.run(RetainedNiches(), lambda: retain_retired_niches(opened, *given))
            for name, text in retired.texts.items():
                (context.log.error if name in retired.failures else context.log.info)(f"retired niche {name}: {text}")
            cleaned = clean_lab(opened, *given)
            checks = check_clean_up(opened, cleaned)
    for channel_id, reason in cleaned.adapters.failed.items():
        context.log.warning(f"the adapter of channel {channel_id} still contains deleted videos: {reason}")
    yield dg.MaterializeResult(
        metadata={
            "channels_deleted": cleaned.channels,
            "images_deleted": cleaned.pictures,
            "faces_deleted": cleaned.faces,
            "vectors_deleted": cleaned.vectors,
            "releases_deleted": cleaned.releases,
            "histories_cleaned": cleaned.adapters.cleaned,
            "histories_failed": len(cleaned.adapters.failed),
            "predictions_deleted": cleaned.predictions,
            "unfinished_trainings_deleted": cleaned.unfinished,
            **{f"retired_niche_{name}": text for name, text in retired.texts.items()},
        },
        check_results=results(checks),
    )
    # The step fails only now, so that the figures and checks of the clean-up are stored.
    with explained():
        if attempts.failures:
            attempts.raise_first()
        retired.raise_failures()
