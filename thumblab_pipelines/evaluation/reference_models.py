"""What the model must beat: orders that anyone could think of, and what ridge regression makes of the same vectors.

    age, length      one column, in the direction that suits the known rows
    title            ridge on the title's vector and simple facts of its wording
    image            ridge on the 64 principal components of the picture's vectors
    linear           ridge on both
    partial_pooling  linear, and for each channel with 30 known videos a ridge of its own on what that leaves

Ridges learn how far a video is above the local trend of its channel. Nothing is learnt from the target of a row that is not
known; the penalties are those that were best on real channels, and are not searched for anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float64s, Rows
from thumblab_core.ranking.title_facts import title_facts
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.statistics.metrics import pair_auc
from thumblab_pipelines.statistics.trend import local_trend

if TYPE_CHECKING:
    import pandas as pd

LINEAR, POOLED = "linear", "partial_pooling"

COMPONENTS = 64
GLOBAL_PENALTY = 3_000.0
CHANNEL_PENALTY = 100.0
LEAST_OF_CHANNEL = 30


def references(data: Dataset, known: Rows, own: Rows | None = None) -> dict[str, Float64s]:
    """Scores [n] of every reference model that has seen the `known` rows.

    `own`: the rows that the channels' own part of partial pooling has seen; where not given, the known ones.
    """
    relative = relative_target(data.videos, known)
    title, image = title_features(data), image_components(data, known)
    both = np.hstack([title, image])
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
    """[n] ln of the age-corrected views, less the local trend of the channel that the known rows show."""
    import pandas as pd

    published = pd.to_datetime(videos.published_at, utc=True).to_numpy("datetime64[s]").astype(np.int64) / 86_400.0
    target, inside = videos.target.to_numpy(float), np.zeros(len(videos), bool)
    inside[known] = True
    return target - local_trend(videos.channel_id.to_numpy(str), published, target, inside)


def title_features(data: Dataset) -> Float64s:
    """[n, d_t + 20]"""
    return np.hstack([data.titles, title_facts(data.videos.title.tolist())]).astype(np.float64)


def image_components(data: Dataset, known: Rows) -> Float64s:
    """[n, 64 or fewer]: along the directions in which the known pictures differ most."""
    from sklearn.decomposition import PCA

    components = min(COMPONENTS, len(known), data.images.shape[1])
    found = PCA(components, svd_solver="randomized", random_state=0).fit(data.images[known])
    return np.asarray(found.transform(data.images), np.float64)


def ridge(features: Float64s, target: Float64s, known: Rows, penalty: float) -> Float64s:
    """[n] predicted from features [n, d] by the known rows' target, features standardised by the known rows."""
    return _Ridge.fit(features[known], target[known], penalty).predict(features)


def pooled(features: Float64s, linear: Float64s, channel: npt.ArrayLike, target: Float64s, known: Rows) -> Float64s:
    """`linear` [n], and for each channel with enough known rows what a ridge on its residuals adds."""
    channels = np.asarray(channel, str)
    scores = linear.copy()
    for name, count in zip(*np.unique(channels[known], return_counts=True), strict=True):
        if count >= LEAST_OF_CHANNEL:
            mine = np.flatnonzero(channels == name)
            seen = known[channels[known] == name]
            own = _Ridge.fit(features[seen], (target - linear)[seen], CHANNEL_PENALTY)
            scores[mine] += own.predict(features[mine])
    return scores


@dataclass(frozen=True)
class _Ridge:
    mean: Float64s
    scale: Float64s
    model: Any

    @classmethod
    def fit(cls, features: Float64s, target: Float64s, penalty: float) -> _Ridge:
        from sklearn.linear_model import Ridge

        mean, scale = features.mean(axis=0), features.std(axis=0)
        scale = np.where(scale > 1e-9, scale, 1.0)
        return cls(mean, scale, Ridge(penalty).fit((features - mean) / scale, target))

    def predict(self, features: Float64s) -> Float64s:
        return np.asarray(self.model.predict((features - self.mean) / self.scale), np.float64)


def _ordered(data: Dataset, column: str, known: Rows) -> Float64s:
    """[n] the column or its negative, whichever orders the known rows' pairs better."""
    inside = np.zeros(len(data.videos), bool)
    inside[known] = True
    winner, loser = data.pairs.winner.to_numpy(np.intp), data.pairs.loser.to_numpy(np.intp)
    chosen = inside[winner] & inside[loser]
    scores = data.videos[column].to_numpy(float)
    right = pair_auc(scores, winner[chosen], loser[chosen]) if chosen.any() else 0.5
    return scores if right >= 0.5 else -scores
