"""Compare scores of videos with the views of the videos, within each channel of a synthetic catalogue."""

from typing import Any

import numpy as np

from demo.catalogues.drafts import CLOCK
from demo.catalogues.growth import growth
from demo.catalogues.synthetic import SyntheticCatalogue
from thumblab_core.arrays import Float64s


def corrected_views(catalogue: SyntheticCatalogue) -> Float64s:
    """Return ln(views / growth) of each video, float64 (n,).

    `growth` is the fraction of a video's final views that the video has already gained. The result therefore does not
    depend on the video's age.
    """
    ages = [(CLOCK - video.published_at).total_seconds() / 86_400 for video in catalogue.videos.values()]
    views = [video.views for video in catalogue.videos.values()]
    return np.log(views) - np.log([growth(age) for age in ages])


def channels_of(catalogue: SyntheticCatalogue) -> Any:
    """Return the channel id of each video, str (n,)."""
    return np.array([video.channel_id for video in catalogue.videos.values()])


def auc_by_channel(catalogue: SyntheticCatalogue, score: Float64s, truth: Float64s) -> Float64s:
    """Return an AUC for each channel: the share of its pairs of videos that `score` and `truth` put in the same order.

    `score` and `truth` have a number for each video of the catalogue.
    """
    channels = channels_of(catalogue)
    aucs = []
    for channel in catalogue.channels:
        rows = np.flatnonzero(channels == channel)
        first, second = np.triu_indices(len(rows), 1)
        gap = [values[rows][first] - values[rows][second] for values in (score, truth)]
        aucs.append(float(np.mean(np.sign(gap[0]) == np.sign(gap[1]))))
    return np.array(aucs)


def regress(catalogue: SyntheticCatalogue, values: Float64s, *facts: Float64s) -> tuple[Float64s, Float64s]:
    """Regress values (n,) on facts (n,) or (n, k). Return the coefficients and their standard errors.

    First, the function subtracts the mean over the videos of a channel from each value and each fact of the channel.
    """
    _, channel = np.unique(channels_of(catalogue), return_inverse=True)

    def within(columns: Float64s) -> Float64s:
        sums = np.stack([np.bincount(channel, column) for column in columns.T], axis=1)
        return columns - (sums / np.bincount(channel)[:, None])[channel]

    x, y = within(np.column_stack(facts)), within(values[:, None])[:, 0]
    coefficients = np.linalg.lstsq(x, y, rcond=None)[0]
    variance = float(((y - x @ coefficients) ** 2).sum()) / (len(y) - x.shape[1] - len(catalogue.channels))
    return coefficients, np.sqrt(variance * np.diag(np.linalg.inv(x.T @ x)))
