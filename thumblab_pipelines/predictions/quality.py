"""Measure how good predictions were: the accuracy and the calibration of the answers, for each model release."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy import func, select

from thumblab_core.arrays import Float64s, Rows
from thumblab_core.database.tables import predictions
from thumblab_core.releases.release import ALL, MODEL
from thumblab_pipelines.lab import Lab
from thumblab_pipelines.predictions.claims import (
    DecidedPair,
    PublishedPair,
    decided_pairs,
    latest_pairs,
    latest_published_pairs,
    published_candidates,
    published_pairs,
)
from thumblab_pipelines.statistics.calibration import (
    Point,
    calibration_curve,
    expected_calibration_error,
    mean_log_loss,
)
from thumblab_pipelines.statistics.intervals import DIFFERENCE, SHARE, ChannelMeans, Interval
from thumblab_pipelines.statistics.metrics import numbered

EVERY = "all"
"""Figures over all releases have this name in place of a release id."""

_SURE = 1e-9
"""Probabilities are clipped to the range from `_SURE` to `1 - _SURE`, so that their logarithms are finite."""


@dataclass(frozen=True)
class Mean:
    """The mean of a value over pairs, with the two ends of its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class ExperimentFigures:
    """The figures of claims about pairs that experiments decided.

    Attributes:
        pairs: the number of decided pairs.
        channels, experiments: the numbers of channels and of experiments from which these pairs come.
        accuracy: the share of pairs in which the claimed probability of the winner is above 0.5. A pair with a
            probability of exactly 0.5 counts as half a pair.
        overconfidence: the favourite of a pair is the candidate with the larger claimed probability. The
            overconfidence is the mean probability of the favourites minus the share of the favourites that won. It is
            above 0 if the answers were too sure.
        ece: the expected calibration error over ten bins. With few pairs, the error is above 0 by chance alone.
        log_loss: the mean of -log(probability that the answer gave to the winner). Guessing gives a mean of 0.693.
        curve: the calibration curve. Each pair is in the curve twice: with the probability of its winner, and of its
            loser.
    """

    pairs: int
    channels: int
    experiments: int
    accuracy: Mean
    overconfidence: Mean
    ece: float
    log_loss: float
    curve: Sequence[Point]


@dataclass(frozen=True)
class OrderFigures:
    """The figures of claims without a probability. Such a claim says only which of two candidates is better.

    `accuracy`: the share of pairs in the right order. A pair whose candidates have the same rank or score counts as
    half a pair. `compared`: the number of videos or experiments from which the pairs come.
    """

    pairs: int
    channels: int
    compared: int
    accuracy: Mean


@dataclass(frozen=True)
class ReleaseQuality:
    """The figures of one release, or of all releases (`EVERY`).

    `served`: whether the release is served now. Each of three kinds of pairs has its own figures, or None if there are
    no such pairs. `experiments`: pairs from experiments, if the answer gave probabilities. `evidence`: pairs from
    experiments, if the answer was ordered by evidence. `videos`: pairs of published candidates, ordered by score.
    """

    release: str
    served: bool
    predictions: int
    experiments: ExperimentFigures | None
    evidence: OrderFigures | None
    videos: OrderFigures | None


def measure_quality(lab: Lab) -> list[ReleaseQuality]:
    """Return the figures over all releases, followed by the figures of each release, newest release first.

    `join_outcomes` must have stored the outcomes before.
    """
    count = func.count().label("predictions")
    by_release = select(predictions.c.model_release, count).group_by(predictions.c.model_release)
    newest_first = by_release.order_by(func.max(predictions.c.scored_at).desc(), predictions.c.model_release)
    with lab.engine.connect() as connection:
        kept = {row.model_release: int(row.predictions) for row in connection.execute(newest_first)}
        decided = decided_pairs(connection)
        published = published_pairs(published_candidates(connection))
    served = lab.releases.serving.current_id(MODEL, ALL)
    figures = [_quality(EVERY, False, sum(kept.values()), decided, published)]
    for release, number in kept.items():
        decided_by = [pair for pair in decided if pair.release == release]
        published_by = [pair for pair in published if pair.release == release]
        figures.append(_quality(release, release == served, number, decided_by, published_by))
    return figures


def _quality(
    release: str, served: bool, kept: int, decided: Sequence[DecidedPair], published: Sequence[PublishedPair]
) -> ReleaseQuality:
    latest = latest_pairs(decided)
    claimed = [pair for pair in latest if pair.claimed is not None]
    ordered = [pair for pair in latest if pair.claimed is None]
    videos = _of_videos(latest_published_pairs(published))
    return ReleaseQuality(release, served, kept, _of_experiments(claimed), _of_evidence(ordered), videos)


def _of_experiments(pairs: Sequence[DecidedPair]) -> ExperimentFigures | None:
    if not pairs:
        return None
    claimed = np.array([pair.claimed for pair in pairs], np.float64).clip(_SURE, 1 - _SURE)
    favourite = np.maximum(claimed, 1 - claimed)
    correct = np.asarray((claimed > 0.5) + 0.5 * (claimed == 0.5), np.float64)
    tested = _Pairs.of_variants(pairs)
    # The functions of `calibration` compute a probability as sigmoid(slope * gap). For these gaps and the slope 1, the
    # result is the claimed probability.
    gaps = np.log(claimed) - np.log1p(-claimed)
    return ExperimentFigures(
        len(pairs),
        len({pair.channel_id for pair in pairs}),
        len({pair.experiment_id for pair in pairs}),
        tested.mean(correct, SHARE),
        tested.mean(favourite - correct, DIFFERENCE),
        expected_calibration_error(gaps, 1.0),
        mean_log_loss(gaps, 1.0),
        calibration_curve(gaps, 1.0),
    )


def _of_evidence(pairs: Sequence[DecidedPair]) -> OrderFigures | None:
    if not pairs:
        return None
    accuracy = _Pairs.of_variants(pairs).mean(np.array([pair.order for pair in pairs], np.float64), SHARE)
    channels, experiments = {pair.channel_id for pair in pairs}, {pair.experiment_id for pair in pairs}
    return OrderFigures(len(pairs), len(channels), len(experiments), accuracy)


def _of_videos(pairs: Sequence[PublishedPair]) -> OrderFigures | None:
    if not pairs:
        return None
    gaps = np.array([pair.winner.score - pair.loser.score for pair in pairs], np.float64)
    videos = _Pairs.of(
        [pair.winner.video_id for pair in pairs],
        [pair.loser.video_id for pair in pairs],
        [pair.channel_id for pair in pairs],
    )
    accuracy = videos.mean(np.asarray((gaps > 0) + 0.5 * (gaps == 0), np.float64), SHARE)
    shown = Counter(video_id for pair in pairs for video_id in (pair.winner.video_id, pair.loser.video_id))
    return OrderFigures(len(pairs), len({pair.channel_id for pair in pairs}), len(shown), accuracy)


@dataclass(frozen=True)
class _Pairs:
    """m pairs of two variants or of two videos.

    `winners` [m] and `losers` [m]: a number that stands for each variant or video. `channel` [m]: a number that stands
    for the channel of each pair.
    """

    winners: Rows
    losers: Rows
    channel: Rows

    @classmethod
    def of(cls, winners: Sequence[str], losers: Sequence[str], channels: Sequence[str]) -> "_Pairs":
        rows, _ = numbered([*winners, *losers])
        return cls(rows[: len(winners)], rows[len(winners) :], numbered(list(channels))[0])

    @classmethod
    def of_variants(cls, pairs: Sequence[DecidedPair]) -> "_Pairs":
        winners = [f"{pair.experiment_id} {pair.winner}" for pair in pairs]
        losers = [f"{pair.experiment_id} {pair.loser}" for pair in pairs]
        return cls.of(winners, losers, [pair.channel_id for pair in pairs])

    def mean(self, values: Float64s, within: Interval) -> Mean:
        """Return the mean of the values [m] of the pairs, with its interval. Each pair has the same weight."""
        by_channel = ChannelMeans.of(values, self.winners, self.losers, self.channel, within)
        low, high = by_channel.interval(by_channel.over_pairs())
        return Mean(float(values.mean()), float(low), float(high))
