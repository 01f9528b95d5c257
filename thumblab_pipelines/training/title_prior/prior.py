"""Fit the title prior: the effect of a title on views, learnt from many channels that the lab does not have.

The prior is a ridge regression of views on the title facts and the hashed words of the ranking model. The views are
corrected for age, reduced by the trend of the channel, and divided by the spread of the channel. Without the division,
channels whose views vary much would dominate the fit. docs/training-recipe.md says how the penalty was chosen, and how
much the prior helps.

The linear model of a lab can start from the prior. The title part of the model then learns by how much the lab's own
channels differ from the prior. The prior does not use the vectors of titles, so it fits every title encoder.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from thumblab_core.arrays import Float32s, Float64s
from thumblab_core.errors import LabError
from thumblab_core.ranking.architecture import CONSTANT, FACTS_LENGTH, FARTHEST
from thumblab_core.ranking.inputs import FACTS_BLOCK, WORDS_BLOCK
from thumblab_core.ranking.ranker import Ranker
from thumblab_core.ranking.title_facts import FACTS, WORDS, sparse_title_words, title_facts
from thumblab_pipelines.training.title_prior.table import TitleTable, read_observations, without_channels_of
from thumblab_pipelines.training.titles import relative_to_spread

if TYPE_CHECKING:
    from thumblab_pipelines.dataset.load import Dataset

PRIOR_VERSION = "title prior 1"
"""Version of this fit, which is part of the digest of a model's inputs. Raise the number when the fit changes."""

_PENALTY = 30.0
_LEAST_CHANNELS = 10
"""Minimum number of channels to which a title prior is fitted. With fewer channels, the prior would mostly describe
single channels."""
_ROBUST = 1.4826
"""The standard deviation of a normal distribution, divided by its median absolute deviation."""


@dataclass(frozen=True)
class TitlePrior:
    """The effect of a title on log views. `facts` [FACTS]: the effect of one unit of each title fact. `words` [WORDS]:
    the effect of one unit of each column of the hashed words.

    `videos` and `channels`: the numbers of videos and channels to which the prior was fitted.
    """

    facts: Float64s
    words: Float64s
    videos: int
    channels: int

    def scores(self, titles: list[str]) -> Float64s:
        """Return the effect of each title [n]. All effects may be too high or too low by the same constant."""
        return np.asarray(title_facts(titles) @ self.facts + sparse_title_words(titles) @ self.words, np.float64)

    def weights(self, ranker: Ranker) -> Float32s:
        """Return the weights [d] that the prior gives to the standardised inputs of a ranker.

        Only the blocks of facts and of words have weights other than 0. The weights of inputs that the ranker ignores
        are 0.
        """
        layout, scale = ranker.config.layout, ranker.weights["scale"]
        raw = np.zeros(layout.total)
        raw[layout.columns(FACTS_BLOCK)], raw[layout.columns(WORDS_BLOCK)] = self.facts, self.words
        return np.where(scale > 0, raw / np.where(scale > 0, scale, 1.0), 0.0).astype(np.float32)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a table of titles. Raises `LabError` if the file cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise LabError(f"the table of titles {path} cannot be read ({error.strerror})") from None


def prior_for(path: Path, data: Dataset) -> TitlePrior:
    """Fit the prior to the table in a file. Leave out the channels and videos of the training data.

    If the prior were fitted to the lab's videos, the evaluation of the model would look too good. Raises `LabError` if
    the table cannot be read, or if fewer than ten channels are left.
    """
    rows = read_observations(path)
    own = set(data.videos.channel_id), data.video_ids
    try:
        table = TitleTable.of(without_channels_of(rows, *own))
    except ValueError as error:  # pandas raises this error for a date that it cannot read.
        raise LabError(f"{path} cannot be read as a table of titles ({str(error)[:200]})") from None
    channels = len(np.unique(table.channel))
    if channels < _LEAST_CHANNELS:
        raise LabError(
            f"{path} has {channels} channels that are not in the lab; a title prior needs at least {_LEAST_CHANNELS}"
        )
    return fit_title_prior(table)


def fit_title_prior(table: TitleTable) -> TitlePrior:
    """Fit the prior to all videos of a table."""
    from scipy.linalg import cho_factor, cho_solve

    everything = np.ones(len(table.titles), bool)
    above = table.above_trend(table.age_corrected(everything), everything)
    # The views are divided by the spread of the channel, so every channel has about the same weight in the fit.
    # Multiplying the result by the typical spread gives log views.
    target = relative_to_spread(above, table.channel) * float(np.median(np.abs(above))) * _ROBUST
    facts, words = title_facts(table.titles), sparse_title_words(table.titles).astype(np.float64)
    length, spread = FACTS_LENGTH / np.sqrt(FACTS), facts.std(axis=0)
    scale = np.where(spread > CONSTANT, length / np.maximum(spread, CONSTANT), 0.0)
    dense = np.clip((facts - facts.mean(axis=0)) * scale, -FARTHEST * length, FARTHEST * length).astype(np.float64)
    # The hashed words are sparse, so the products are computed without converting the words to a dense matrix.
    across = np.asarray((words.T @ dense).T)
    matrix = np.block([[dense.T @ dense, across], [across.T, (words.T @ words).toarray()]])
    sums = np.concatenate([dense.sum(axis=0), np.asarray(words.sum(axis=0)).ravel()])
    centred = target - target.mean()
    right = np.concatenate([dense.T @ centred, words.T @ centred])
    matrix -= np.outer(sums, sums) / len(target)
    matrix.flat[:: len(matrix) + 1] += _PENALTY
    weights = cho_solve(cho_factor(matrix, lower=True, overwrite_a=True), right)
    channels = len(np.unique(table.channel))
    assert len(weights) == FACTS + WORDS
    return TitlePrior(weights[:FACTS] * scale, weights[FACTS:], len(target), channels)
