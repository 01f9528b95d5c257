"""Make the figures, the preview and the checks that show the quality of predictions in Dagster."""

from collections.abc import Sequence
from typing import Any

from thumblab_pipelines.checks import CheckResult
from thumblab_pipelines.predictions.quality import EVERY, Mean, ReleaseQuality

LEAST_PAIRS = 30
"""Minimum number of decided pairs for judging the claims of a release.

With 30 pairs, the 95 % interval of an accuracy is still about 35 percentage points wide.
"""

MOST_OFF = 0.05
"""The check fails if the mean probability differs from the share of wins by more than this: 5 percentage points. The
whole 95 % interval of the difference must be beyond this limit."""

_DIGITS = 4


def metadata(quality: ReleaseQuality) -> dict[str, Any]:
    """Return the figures of `quality` as plain numbers, by name. A figure that is not known is left out."""
    figures: dict[str, Any] = {"predictions": quality.predictions}
    tested, evidence, videos = quality.experiments, quality.evidence, quality.videos
    if tested is not None:
        figures |= {"decided_pairs": tested.pairs, "experiments": tested.experiments, "channels": tested.channels}
        figures |= _mean("accuracy", tested.accuracy) | _mean("overconfidence", tested.overconfidence)
        figures |= {"ece": round(tested.ece, _DIGITS), "log_loss": round(tested.log_loss, _DIGITS)}
    if evidence is not None:
        figures |= {"evidence_pairs": evidence.pairs, "evidence_experiments": evidence.compared}
        figures |= {"evidence_channels": evidence.channels} | _mean("evidence_accuracy", evidence.accuracy)
    if videos is not None:
        figures |= {"video_pairs": videos.pairs, "videos": videos.compared, "video_channels": videos.channels}
        figures |= _mean("video_accuracy", videos.accuracy)
    return figures


def table(qualities: Sequence[ReleaseQuality]) -> str:
    """Return a Markdown table with a row for all releases together, and a row for each release."""
    lines = [
        "| release | predictions | decided pairs | right | too sure by | ECE | log loss | by evidence | right "
        "| pairs of videos | right |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for quality in qualities:
        tested = quality.experiments
        cells = [quality.release + (" (served)" if quality.served else ""), str(quality.predictions)]
        cells += (
            ["0", "", "", "", ""]
            if tested is None
            else [
                str(tested.pairs),
                _percent(tested.accuracy),
                _percent(tested.overconfidence),
                f"{tested.ece:.3f}",
                f"{tested.log_loss:.3f}",
            ]
        )
        for ordered in (quality.evidence, quality.videos):
            cells += ["0", ""] if ordered is None else [str(ordered.pairs), _percent(ordered.accuracy)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def check_quality(qualities: Sequence[ReleaseQuality], keeps: bool) -> list[CheckResult]:
    """Check that enough outcomes are known, and that the claimed probabilities are right on average.

    `keeps`: whether the setting `keep_predictions` is on.
    """
    every = next(quality for quality in qualities if quality.release == EVERY)
    claimed = 0 if every.experiments is None else every.experiments.pairs
    ordered = 0 if every.evidence is None else every.evidence.pairs
    enough = (
        f"experiments decided {claimed} pairs with probabilities and {ordered} pairs that were ordered by evidence; "
        f"{LEAST_PAIRS} pairs are needed to judge the answers"
    )
    if not every.predictions and not keeps:
        enough = "no predictions are kept; set THUMBLAB_KEEP_PREDICTIONS=true and restart the scoring service"
    judged = [
        (quality.release, quality.experiments.overconfidence, quality.experiments.pairs)
        for quality in qualities
        if quality.experiments is not None and quality.experiments.pairs >= LEAST_PAIRS
    ]
    off = [one for one in judged if one[1].low > MOST_OFF or one[1].high < -MOST_OFF]
    calibrated = f"not judged: no release has {LEAST_PAIRS} decided pairs with probabilities"
    if judged:
        calibrated = "; ".join(_confidence(*one) for one in off or judged)
    return [
        CheckResult(
            "enough_outcomes",
            claimed + ordered >= LEAST_PAIRS,
            enough,
            True,
            {"decided_pairs": claimed, "ordered_pairs": ordered},
        ),
        CheckResult(
            "calibrated", not off, calibrated, True, {"releases_judged": len(judged), "releases_off": len(off)}
        ),
    ]


def _confidence(release: str, overconfidence: Mean, pairs: int) -> str:
    return f"{release}: too sure by {_percent(overconfidence)} percentage points on {pairs} decided pairs"


def _mean(name: str, mean: Mean) -> dict[str, float]:
    ends = {name: mean.value, f"{name}_low": mean.low, f"{name}_high": mean.high}
    return {key: round(value, _DIGITS) for key, value in ends.items()}


def _percent(mean: Mean) -> str:
    return f"{100 * mean.value:.1f} [{100 * mean.low:.1f}, {100 * mean.high:.1f}]"
