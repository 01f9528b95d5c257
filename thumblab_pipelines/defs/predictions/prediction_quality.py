"""Define the asset `prediction_quality`, which measures how good the kept predictions of the scoring service were."""

import dagster as dg

from thumblab_pipelines.defs.checks import advisory, explained, results
from thumblab_pipelines.defs.groups import PREDICTIONS
from thumblab_pipelines.defs.kept import about
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.predictions.join import join_outcomes
from thumblab_pipelines.predictions.plot import quality_plot
from thumblab_pipelines.predictions.quality import measure_quality
from thumblab_pipelines.predictions.report import LEAST_PAIRS, MOST_OFF, check_quality, metadata, table


@dg.asset(
    deps=["kept_predictions", "experiments", "videos", "thumbnails", "view_history", "served_model"],
    kinds={"postgres"},
    check_specs=advisory(
        "prediction_quality",
        enough_outcomes=f"The kept predictions ranked at least {LEAST_PAIRS} pairs of candidates whose winner was later "
        "found by an experiment.",
        calibrated="The favourites win about as often as predicted. The check fails if the whole 95 % interval of the "
        f"difference between predicted and real wins is more than {100 * MOST_OFF:g} percentage points away from 0.",
    ),
    description="Joins the answers of the scoring service with the outcomes: experiments and published videos. "
    "Measures accuracy and calibration by release (docs/predictions.md).",
    **about("prediction_quality", "predictions.md", join_outcomes, measure_quality, check_quality),
    **PREDICTIONS,
)
def prediction_quality(lab: LabResource) -> dg.MaterializeResult:
    with explained():
        opened = lab.open()
        joined = join_outcomes(opened)
        qualities = measure_quality(opened)
    every, *releases = qualities
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": joined.predictions,
            "with_channel": joined.with_channel,
            "with_experiment": joined.with_experiment,
            "with_video": joined.with_video,
            "with_views": joined.with_views,
            **{name: value for name, value in metadata(every).items() if name != "predictions"},
            "by_release": dg.MetadataValue.json({one.release: metadata(one) for one in releases}),
            "preview": dg.MetadataValue.md("\n\n".join(filter(None, [table(qualities), quality_plot(qualities)]))),
        },
        check_results=results(check_quality(qualities, opened.settings.keep_predictions)),
    )
