"""Predict the views of a video from its context, which is everything but its picture.

The context of a video consists of its title (vector, facts and words), its length and its age at the latest count. The
context also includes the hour and the weekday of the publication, and the views of other videos of the channel with
similar titles. From the context, a model predicts the log views of the video minus the trend of its channel. The
residual is the true value minus the prediction. The residual is the part of the views that the picture may have caused.

The prediction is cross-fitted [1]_. Each channel's videos are sorted by time and divided into five folds. Each fold
is predicted by a model that was fitted to the other four folds. The context's model consists of a ridge regression for
all channels, and of channel adapters like the adapters of the ranking model. The context's model has no network, and
does not use pictures.

.. [1] V. Chernozhukov et al., "Double/debiased machine learning for treatment and structural parameters", The
   Econometrics Journal, 2018.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from thumblab_core.arrays import Float32s, Float64s, Floats, Rows
from thumblab_core.ranking.architecture import CONSTANT, FACTS_LENGTH, FARTHEST
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.statistics.mixed_rows import BLOCK, MixedRows
from thumblab_pipelines.statistics.trend import publication_days, slope_within_channels
from thumblab_pipelines.training.adaptation import ScoredVideos, above_trend, scores_from_others
from thumblab_pipelines.training.cross_fitting import folds_in_time, ridges_without_folds
from thumblab_pipelines.training.linear import CONTEXT_PENALTIES, best_penalty

if TYPE_CHECKING:
    import pandas as pd

_UNDERSMOOTHING = 3.0
"""The best penalty is divided by this number for the ridge regression on the context.

The best penalty has the smallest prediction error, but it leaves a part of the title's effect in the residuals. A
smaller penalty leaves less of this effect, but adds noise (W. Newey, F. Hsieh and J. Robins, Econometrica, 2004).
Evaluation needs residuals without an effect of the title. Training uses the best penalty, because training suffers more
from noise.
"""

_DAY, _WEEK = 1.0, 7.0
"""The periods, in days, of the features for the hour and the weekday of publication."""


@dataclass(frozen=True)
class Context:
    """The views of n videos, divided into the views that the context predicts and the remaining views.

    Parameters
    ----------
    predicted
        The predicted log views [n] minus the trend of the channel.
    residual
        The true log views [n] minus the trend of the channel, minus `predicted`.

    `predicted` and `residual` are NaN for videos for which the context was not computed.
    """

    predicted: Float64s
    residual: Float64s

    @classmethod
    def of(cls, data: Dataset, rows: Rows | None = None) -> Context:
        """Return the cross-fitted context of the given rows of the dataset, by default of all rows.

        Only the given rows are used. The trend of a channel is computed from all given rows of the channel. So a
        video's own views have a small effect on its prediction. The views change the trend for the other videos of the
        channel, and the model of the prediction is fitted to these other videos. In a channel of 40 videos, the views
        of one video have a weight of about 3 % in the trend for another video.
        """
        videos, channel = data.videos, data.videos.channel_id.to_numpy(str)
        chosen = np.arange(len(videos)) if rows is None else rows
        inside = np.zeros(len(videos), bool)
        inside[chosen] = True
        target = np.asarray(above_trend(channel, publication_days(videos), videos.target, inside), np.float64)
        features = context_features(data, chosen)
        fold = folds_in_time(channel[chosen])
        sample = best_penalty(features.take(chosen), target[chosen], fold, CONTEXT_PENALTIES)
        fitted = ridges_without_folds(features.take(chosen), target[chosen][:, None], fold, sample / _UNDERSMOOTHING)
        # All regressions predict one block before the next block is read. So each block has to be made dense only once.
        linear = features.mapped(
            lambda block: np.hstack([ridge.predict(block) for _, ridge in fitted] or [block[:, :0]])
        )
        general = np.zeros(len(videos))
        for number, (out, _) in enumerate(fitted):
            general[chosen[out]] = linear[chosen[out], number]
        slope = float(np.clip(slope_within_channels(channel[chosen], general[chosen], target[chosen]), 0.0, 1.0))
        predicted = np.full(len(videos), np.nan)
        predicted[chosen] = 0.0
        for number, (out, _) in enumerate(fitted):
            known = np.delete(chosen, out)
            scored = ScoredVideos(features, linear[:, number].astype(np.float64), channel)
            # A channel with too few videos has no adapter, so its prediction is the prediction of the ridge regression
            # alone.
            predicted[chosen[out]] = scores_from_others(scored, target, known, slope, chosen[out])
        return cls(predicted, np.asarray(target - predicted, np.float64))


def context_features(data: Dataset, rows: Rows) -> MixedRows:
    """Return the features of the context of all n videos, [n, d].

    Each kind of feature is a block of columns, for example the title's vector. Each block is scaled so that a typical
    row of the block has a chosen length. The means and scales are computed from the given `rows`.
    """
    videos, days = data.videos, publication_days(data.videos)
    angles = np.stack([2 * np.pi * days / period for period in (_DAY, _WEEK)], axis=1)
    logs = np.stack([_log_length(videos, rows), np.log(videos.age_hours.to_numpy(float))], axis=1)
    return MixedRows(
        (
            _scaled(data.titles, 1.0, rows),
            _scaled(data.title_facts, FACTS_LENGTH, rows),
            data.title_words,
            _scaled(np.hstack([logs, np.sin(angles), np.cos(angles)]), 1.0, rows),
        )
    )


def _log_length(videos: pd.DataFrame, rows: Rows) -> Float64s:
    """Return ln(seconds) of each video. A video of unknown length gets the mean of the given rows."""
    logarithms = np.log(videos.duration_s.to_numpy(float))
    known = logarithms[rows][np.isfinite(logarithms[rows])]
    return np.where(np.isfinite(logarithms), logarithms, known.mean() if len(known) else 0.0)


def _scaled(block: Floats, length: float, rows: Rows) -> Float32s:
    """Return the features [n, d], standardised, clipped, and scaled so that a typical row has the length `length`."""
    chosen = block[rows]
    mean = chosen.mean(axis=0)
    chosen -= mean
    spread = chosen.std(axis=0)
    del chosen
    factor = length / np.sqrt(block.shape[1])
    scaled = np.empty(block.shape, np.float32)
    for start in range(0, len(block), BLOCK):
        place = slice(start, start + BLOCK)
        standardised = np.where(spread > CONSTANT, (block[place] - mean) / np.maximum(spread, CONSTANT), 0.0)
        scaled[place] = np.clip(standardised, -FARTHEST, FARTHEST) * factor
    return scaled
