"""Compute the scores of the reference models, which are simple models that the ranking model should beat.

The known rows are the videos to which a reference model may be fitted. A known pair consists of two known rows.

    age, length      sort by one column, in the direction that has the higher AUC on the known pairs
    title            ridge regression on the title's vector and simple facts about its wording
    image            ridge regression on 64 principal components of the pictures' vectors
    linear           ridge regression on the inputs of `title` and `image` together
    partial_pooling  the linear model, plus a ridge regression on its residuals for each channel with at least 30 known
                     videos

The target of the ridge regressions is the log views of a video minus the local trend of its channel. Only targets of
known rows are read. The penalties of the regressions were chosen once, on real channels, and are the same for every
lab.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s, Floats, Rows
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.statistics.metrics import numbered, pair_auc
from thumblab_pipelines.statistics.mixed_rows import MixedRows
from thumblab_pipelines.statistics.trend import local_trend, publication_days
from thumblab_pipelines.training.linear import fit_ridge

if TYPE_CHECKING:
    import pandas as pd

LINEAR, POOLED = "linear", "partial_pooling"

COMPONENTS = 64
GLOBAL_PENALTY = 3_000.0
CHANNEL_PENALTY = 100.0
LEAST_OF_CHANNEL = 30


def references(data: Dataset, known: Rows, own: Rows | None = None) -> dict[str, Float64s]:
    """Return the scores [n] of every reference model by its name. The models are fitted to the rows `known`.

    The reference model `partial_pooling` adds a regression for each channel to the linear model. The regressions for
    channels are fitted to the rows `own`, by default the rows `known`.
    """
    relative = relative_target(data.videos, known)
    title, image = title_features(data), image_components(data, known)
    both = MixedRows((*title.parts, image))
    linear = ridge(both, relative, known, GLOBAL_PENALTY)
    of_channels = (relative, known) if own is None else (relative_target(data.videos, own), own)
    return {
        "age": _ordered(data, "age_hours", known),
        "length": _ordered(data, "duration_s", known),
        "title": ridge(title, relative, known, GLOBAL_PENALTY),
        "image": ridge(image, relative, known, GLOBAL_PENALTY),
        LINEAR: linear,
        POOLED: pooled(both, linear, data.videos.channel_id, *of_channels),
    }


def relative_target(videos: pd.DataFrame, known: Rows) -> Float64s:
    """Return the target [n] of each video minus the trend of its channel.

    The target is the ln of the age-corrected views. The trend is computed from the known rows.
    """
    target, is_known = videos.target.to_numpy(float), np.isin(np.arange(len(videos)), known)
    return target - local_trend(videos.channel_id.to_numpy(str), publication_days(videos), target, is_known)


def title_features(data: Dataset) -> MixedRows:
    """Return each title's vector, followed by 20 numbers that describe its wording, [n, d_t + 20]."""
    return MixedRows((data.titles, data.title_facts))


def image_components(data: Dataset, known: Rows) -> Float64s:
    """Return the first principal components of the pictures' vectors [n, at most 64].

    The components are fitted to the known rows.
    """
    from sklearn.decomposition import PCA

    components = min(COMPONENTS, len(known), data.images.shape[1])
    pca = PCA(components, svd_solver="randomized", random_state=0).fit(data.images[known])
    return np.asarray(MixedRows.of(data.images).mapped(pca.transform), np.float64)


def ridge(features: Floats | MixedRows, target: Float64s, known: Rows, penalty: float) -> Float64s:
    """Return predictions [n] from `features` [n, d] by a ridge regression that is fitted to the known rows.

    The features are standardised with the mean and the standard deviation of the known rows.
    """
    rows = MixedRows.of(features)
    return _Ridge.fit(rows.take(known), target[known], penalty).predict(rows)


def pooled(
    features: Floats | MixedRows, linear: Float64s, channel: npt.ArrayLike, target: Float64s, known: Rows
) -> Float64s:
    """Return the scores [n] of partial pooling.

    `linear` [n] are the scores of the linear model. For each channel with at least 30 known rows, a ridge regression
    predicts the targets minus `linear`. The prediction of the regression is added to `linear`.
    """
    number, names = numbered(channel)
    scores, residuals = linear.copy(), target - linear
    counts = np.bincount(number[known], minlength=len(names))
    is_known = np.zeros(len(scores), bool)
    is_known[known] = True
    order = np.argsort(number, kind="stable")
    by_channel = np.split(order, np.cumsum(np.bincount(number, minlength=len(names)))[:-1])
    for rows, count in zip(by_channel, counts, strict=True):
        if count >= LEAST_OF_CHANNEL:
            known_rows = rows[is_known[rows]]
            fitted = _Ridge.fit(features[known_rows], residuals[known_rows], CHANNEL_PENALTY)
            scores[rows] += fitted.predict(features[rows])
    return scores


@dataclass(frozen=True)
class _Ridge:
    """A ridge regression on standardised features."""

    mean: Float64s
    scale: Float64s
    weights: Float64s
    target_mean: float

    @classmethod
    def fit(cls, features: Floats | MixedRows, target: Float64s, penalty: float) -> _Ridge:
        rows = MixedRows.of(features)
        mean, scale = rows.moments()
        scale = np.where(scale > 1e-9, scale, 1.0)
        weights = fit_ridge(rows.through(lambda block: (block - mean) / scale), target, penalty)
        return cls(mean, scale, np.asarray(weights, np.float64), float(target.mean()))

    def predict(self, features: Floats | MixedRows) -> Float64s:
        predicted = MixedRows.of(features).mapped(lambda block: ((block - self.mean) / self.scale) @ self.weights)
        return np.asarray(predicted + self.target_mean, np.float64)


def _ordered(data: Dataset, column: str, known: Rows) -> Float64s:
    """Return the values of the column [n], or the negative values if they order the pairs of `known` rows better.

    A missing value is replaced by the median of the column over the `known` rows.
    """
    inside = data.pairs_within(known)
    winner, loser = data.pairs.winner.to_numpy(np.intp), data.pairs.loser.to_numpy(np.intp)
    scores = data.videos[column].to_numpy(float)
    usual = scores[known][np.isfinite(scores[known])]
    scores = np.where(np.isfinite(scores), scores, np.median(usual) if len(usual) else 0.0)
    auc = pair_auc(scores, winner[inside], loser[inside]) if inside.any() else 0.5
    return scores if auc >= 0.5 else -scores
