"""Describe how the text, faces, subject, colours and sub-scores of a cluster's thumbnails differ from the same features
of other thumbnails.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from thumblab_core.arrays import Flags, Float64s, Rows
from thumblab_pipelines.niche_report.features import COLOUR, FACES, FEATURES, SUB_SCORES, SUBJECT, TEXT, Feature
from thumblab_pipelines.statistics.intervals import interval_of_channels

if TYPE_CHECKING:
    import pandas as pd

TRAITS = 3
"""Maximum number of traits of a cluster."""
COMPARED = tuple(feature for feature in FEATURES if feature.part in (TEXT, FACES, SUBJECT, COLOUR, SUB_SCORES))
_LEAST_DIFFERENCE = 0.5
"""Minimum difference between the mean of a cluster and the mean of the videos outside it, in standard deviations of all
videos.
"""
_LEAST_CHANNELS = 3


def find_traits(values: pd.DataFrame, channels: Rows, clusters: Rows) -> dict[int, tuple[str, ...]]:
    """Return the traits of each cluster as sentences, the largest difference first.

    `values` has the features of each video [n], see `thumblab_pipelines.niche_report.features.measure`. `channels` [n]:
    the number of each video's channel. `clusters` [n]: the number of each video's cluster, or -1.

    A trait is a large difference that does not come from a single channel. To check this, the mean of each channel in
    the cluster is computed. Let m be the mean of the videos outside the cluster. If the mean of the cluster is above m,
    the whole interval of the channels' means must be above m. If the mean of the cluster is below m, the whole interval
    must be below m.
    """
    columns = {feature: values[feature.name].to_numpy(float) for feature in COMPARED}
    found = {}
    for number in np.unique(clusters[clusters >= 0]).tolist():
        inside = clusters == number
        differences = [
            (abs(difference), feature, sentence)
            for feature, column in columns.items()
            if (told := _difference(feature, column, channels, inside)) is not None
            for difference, sentence in [told]
        ]
        differences.sort(key=lambda one: (-one[0], one[1].name))
        found[number] = tuple(sentence for _, _, sentence in differences[:TRAITS])
    return found


def _difference(feature: Feature, column: Float64s, channels: Rows, inside: Flags) -> tuple[float, str] | None:
    """Return by how much the cluster's videos differ from all other videos in one feature, and a sentence that says so.
    The unit of the difference is the standard deviation of the feature. Return None if the feature is no trait of the
    cluster.
    """
    known = ~np.isnan(column)
    here, elsewhere = column[known & inside], column[known & ~inside]
    if 2 * len(here) < inside.sum() or not len(elsewhere):
        return None
    spread = float(column[known].std())
    usual, others = float(here.mean()), float(elsewhere.mean())
    if spread == 0 or abs(usual - others) < _LEAST_DIFFERENCE * spread:
        return None
    of_channels = _means(here, channels[known & inside])
    if len(of_channels) < _LEAST_CHANNELS:
        return None
    low, high = interval_of_channels(of_channels, (-np.inf, np.inf))
    is_more = usual > others
    # A single channel with many videos may raise the mean of the cluster's videos, while most channels of the cluster
    # have low values. Such a difference is no trait.
    if (low if is_more else -high) <= (others if is_more else -others):
        return None
    words = feature.more if is_more else feature.less
    return (usual - others) / spread, f"{words} ({_figure(feature, usual)} here, {_figure(feature, others)} elsewhere)"


def _means(values: Float64s, channels: Rows) -> Float64s:
    """Return the mean of each channel's values."""
    place = np.unique(channels, return_inverse=True)[1]
    return np.asarray(np.bincount(place, values) / np.bincount(place), np.float64)


def _figure(feature: Feature, value: float) -> str:
    if feature.flag:
        return f"{100 * value:.0f} %"
    return f"{value:.3g} {feature.unit}".strip() if feature.unit else f"{value:.2f}"
