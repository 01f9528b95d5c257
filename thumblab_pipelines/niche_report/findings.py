"""Find the differences between the winners of a niche and other videos of their channels.

A difference is a finding if all of these conditions hold:

- The q value of the difference, computed over all compared features, is at most 5 %.
- The 95 % interval of the share does not contain one half. A share of one half means no difference.
- Most of the channels with a difference differ in the same direction as the niche.
- If any single channel is left out, the niche still differs in the same direction.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from thumblab_core.arrays import Flags
from thumblab_core.niche_report.niche_figures import FLAG, NUMBER, Change, Estimate, Finding, Period
from thumblab_pipelines.niche_report.compared import (
    Compared,
    Difference,
    difference,
    discoveries,
    standardized,
    varies,
    winners_of,
)
from thumblab_pipelines.niche_report.features import FEATURES, Feature
from thumblab_pipelines.statistics.stratified_ranks import DRAWS

if TYPE_CHECKING:
    import pandas as pd

LEAST_CHANNELS, LEAST_WINNERS = 5, 30
"""Minimum number of channels and of winners for computing figures. With fewer channels or winners, the intervals would
be too wide to be useful."""

LEAST_RECENT_WINNERS = 20
"""A change is reported only if each of the two compared periods has at least this number of winners."""

RECENT_DAYS = 28
MOST_FALSE = 0.05
"""Maximum accepted share of false differences among the differences that a report shows."""


def too_few(compared: Compared) -> str | None:
    """Return a sentence, without its full stop, that says why there are too few videos for figures. Return None if
    there are enough videos.
    """
    if compared.channels >= LEAST_CHANNELS and compared.winners >= LEAST_WINNERS:
        return None
    return (
        f"There are {compared.winners} winners on {compared.channels} channels to compare with other videos of these "
        f"channels; figures need at least {LEAST_WINNERS} winners on {LEAST_CHANNELS} channels"
    )


def find(videos: pd.DataFrame, values: pd.DataFrame) -> tuple[list[Finding], int]:
    """Return the findings, the largest difference first, and the number of features that were compared.

    `videos` [n] has the columns of `read_videos`, and `values` [n, f] has a column for each of the `FEATURES`. There
    must be enough videos, see `too_few`. The same input gives the same result.
    """
    winner = winners_of(videos)
    everything = Compared.of(videos, winner)
    measured: list[tuple[Feature, Difference]] = []
    for seed, feature in enumerate(FEATURES):
        found = _difference(feature, everything, values, seed)
        if found is not None:
            measured.append((feature, found))
    q_values = discoveries([found.p_value for _, found in measured])
    kept = [
        (feature, found, float(q_value))
        for (feature, found), q_value in zip(measured, q_values, strict=True)
        if q_value <= MOST_FALSE and found.excludes_none and found.holds_within_channels
    ]
    kept.sort(key=lambda one: -abs(one[1].share.value - 0.5))
    recent = _recent(videos)
    times = Compared.of(videos, winner, recent), Compared.of(videos, winner, ~recent)
    return [_finding(*one, _change(one[0], times, values)) for one in kept], len(measured)


def _recent(videos: pd.DataFrame) -> Flags:
    """Return whether each video [n] was published in the last 28 days before the newest observation."""
    days = (videos.observed_at.max() - videos.published_at).dt.total_seconds().to_numpy(float) / 86_400
    return np.asarray(days <= RECENT_DAYS, bool)


def _difference(
    feature: Feature, among: Compared, values: pd.DataFrame, seed: int, draws: int = DRAWS
) -> Difference | None:
    """Return the difference in one feature, or None if too few videos can be compared or the feature varies too
    little."""
    column = values[feature.name].to_numpy(float)
    compared = among.informative(np.isfinite(column[among.rows]))
    own = column[compared.rows]
    enough = compared.channels >= LEAST_CHANNELS and compared.winners >= LEAST_RECENT_WINNERS
    if not enough or not varies(compared, own, feature.flag):
        return None
    return difference(compared, own, feature.flag, feature.logarithmic, seed, draws)


def _change(feature: Feature, times: tuple[Compared, Compared], values: pd.DataFrame) -> Change | None:
    """Return the change between the last 28 days and the time before. Return None if the interval of the change
    contains 0.

    The interval of the difference of two shares comes from the intervals of the shares, by the method of Newcombe [1]_.
    The method assumes that the two shares are independent. Both periods have the same channels, so the true interval
    may be narrower, but not wider.

    .. [1] R. Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine,
       1998.
    """
    # The p values of the two periods are not used, so only one permutation is drawn for each period.
    recent, before = (_difference(feature, time, values, 0, draws=1) for time in times)
    if recent is None or before is None:
        return None
    new, old = recent.share, before.share
    value = new.value - old.value
    low = value - math.hypot(new.value - new.low, old.high - old.value)
    high = value + math.hypot(new.high - new.value, old.value - old.low)
    if low <= 0 <= high:
        return None
    return Change(recent=_period(recent), before=_period(before), difference=Estimate(value=value, low=low, high=high))


def _period(found: Difference) -> Period:
    compared = found.compared
    return Period(share=found.share, winners=compared.winners, videos=len(compared.rows), channels=compared.channels)


def _finding(feature: Feature, found: Difference, q_value: float, change: Change | None) -> Finding:
    compared = found.compared
    percent = 100 if feature.flag else 1
    return Finding(
        feature=feature.name,
        part=feature.part,
        words=feature.more if found.share.value > 0.5 else feature.less,
        kind=FLAG if feature.flag else NUMBER,
        unit="% of videos" if feature.flag else feature.unit,
        share=found.share,
        standardized=None if feature.flag else standardized(found.share),
        odds_ratio=found.odds_ratio,
        winners_usual=percent * found.usual[0],
        others_usual=percent * found.usual[1],
        q_value=q_value,
        winners=compared.winners,
        videos=len(compared.rows),
        channels=compared.channels,
        channels_agreeing=found.agreeing,
        change=change,
    )
