"""Define the checks of the whole lab, the job that runs all of them, and its daily schedule.

Each check belongs to an asset, and runs without making the asset. No check blocks other assets. A damaged file of a
served release is an error, and every other failure is a warning.
"""

from collections.abc import Callable

import dagster as dg

from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.defs.checks import explained, results
from thumblab_pipelines.defs.resources import LabResource
from thumblab_pipelines.defs.timing import HOBART, max_runtime
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.lab_checks import served, weeks


def _check(asset: str, name: str, function: Callable[[Lab], CheckResult], description: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=asset, name=name, description=description)
    def check(lab: LabResource) -> dg.AssetCheckResult:
        with explained():
            return results([function(lab.open())])[0]

    return check


CHECKS = [
    _check(
        "raw_videos",
        "as_many_as_usual",
        weeks.check_observations,
        f"In the last 24 hours, each niche got at least {weeks.LEAST_SHARE:.0%} as many observations as on a median day "
        f"of the last {weeks.WEEKS} weeks.",
    ),
    _check(
        "thumbnails",
        "downloads_succeed",
        weeks.check_downloads,
        f"At most {weeks.MOST_FAILED:.0%} of last week's downloads failed.",
    ),
    _check(
        "embeddings",
        "vectors_as_before",
        weeks.check_vectors,
        "The vectors of last week's videos are distributed as in the weeks before. A classifier that separates new from "
        f"old vectors has an AUC of at most {weeks.MOST_SEPARABLE:g} on unseen channels.",
    ),
    _check(
        "visual_features",
        "sub_scores_as_before",
        weeks.check_sub_scores,
        "Each sub-score of last week's videos is distributed as in the weeks before: the Kolmogorov-Smirnov "
        f"statistic is at most {weeks.MOST_APART:g}.",
    ),
    _check(
        "served_index",
        "files_undamaged",
        served.check_index_files,
        "Every file of each served index still has the checksum that it had when it was published.",
    ),
    _check(
        "served_model",
        "files_undamaged",
        served.check_model_files,
        "Every file of the served model still has the checksum that it had when it was published.",
    ),
    _check(
        "served_index",
        "recall",
        served.check_recall,
        "A search in each served index finds the nearest thumbnails that an exact search finds.",
    ),
    _check(
        "served_model",
        "beats_simple_rankings",
        served.check_against_baselines,
        "On the same held-out pairs, the AUC of the served model is not lower than the AUC of any simple ranking, "
        "such as the ranking by age.",
    ),
    _check(
        "prediction_quality",
        "answers_calibrated",
        served.check_predictions,
        "On average, the kept predictions win as often as their win probabilities say.",
    ),
]

_KEYS = [key for check in CHECKS for key in check.check_keys]


def made(assets: dg.AssetSelection) -> dg.AssetSelection:
    """Return the assets with the checks that run whenever an asset is made. Leave out the checks of the whole lab."""
    return assets - dg.AssetSelection.checks(*_KEYS)


check_lab = dg.define_asset_job(
    "check_lab",
    selection=dg.AssetSelection.checks(*_KEYS),
    description="Compares the lab with the weeks before, and measures how good its served releases are now.",
    tags=max_runtime(hours=1),
)

daily_checks = dg.ScheduleDefinition(
    name="daily_checks",
    job=check_lab,
    # By 06:30, the daily refresh and the retention have ended.
    cron_schedule="30 6 * * *",
    execution_timezone=HOBART,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Checks the whole lab daily at 06:30 in Hobart.",
)
