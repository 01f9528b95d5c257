"""Score titles by their words. The model learns which words work on all channels, and how each single channel differs.

The model is fitted to the known videos by one penalised least-squares fit [1]_ [2]_:

    target(i) = level(channel, time) + x(i) . shared + own(channel, title, time) + noise

    target   the log views of video i minus the trend of its channel, see `relative_to_spread`
    x        three blocks of inputs: hashed words, hashed groups of characters, and facts about the title. The facts
             include how rare its words were (`word_rarity`).
    shared   the coefficients that all channels share
    own      the deviation of the channel from `shared`. It depends on the same three blocks and on the meaning of the
             title, and changes with time. The deviation is 0 if the channel has no known videos.
    level    a constant for each channel, plus a slow and a quick drift with time

The score of a title is x . shared + own(channel, title, time). The weight of each part was chosen on 510 real channels:
models were fitted to earlier videos and evaluated on later videos. docs/training-recipe.md has the details.

The fit is a linear mixed model. `own` and `level` are Gaussian processes [4]_. Let D be the number of days between two
videos, and c the cosine of the vectors of their titles after subtracting the channel's mean vector. The covariances of
two videos of one channel are:

    own      (weighted inner products of the blocks + own_meaning * exp((c - 1) / 0.5)) * (1 + exp(-D / 120)) / 2
    level    level + slow_level * exp(-D / 60) + quick_level * exp(-D / 10)

The fit is solved in its dual form, as kernel ridge regression [3]_, by conjugate gradients. The preconditioner is the
exact solution within each channel.

.. [1] H. Daumé III, "Frustratingly easy domain adaptation", ACL 2007.
.. [2] C. Henderson, "Best linear unbiased estimation and prediction under a selection model", Biometrics, 1975.
.. [3] C. Saunders, A. Gammerman and V. Vovk, "Ridge regression learning algorithm in dual variables", ICML 1998.
.. [4] C. Rasmussen and C. Williams, "Gaussian Processes for Machine Learning", MIT Press, 2006.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thumblab_core.arrays import Float32s, Float64s, Floats, Rows
from thumblab_core.ranking.title_facts import title_facts
from thumblab_pipelines.features.hashed_titles import HashedTitles, SparseRows, word_rarity

_FARTHEST = 4.0
"""Number of standard deviations at which a fact is clipped."""
_CLIP = 3.0
"""The targets of a channel's videos are clipped at this number of robust standard deviations of the channel."""
_PRIOR_VIDEOS = 10.0
"""The estimate of a channel's spread includes the spread over all channels, with the weight of this many videos."""
_MEANING_LENGTH = 0.5
"""How far below 1 the cosine of two titles must be, so that the covariance of their meanings falls to 1/e."""
_TASTE_DAYS, _SLOW_DAYS, _QUICK_DAYS = 120.0, 60.0, 10.0
"""The time constants, in days, of the covariances in this module's docstring: of `own`, and of the slow and the quick
drift in `level`."""
_CLOSE = 1e-2
"""The solver stops when the norm of `target` - K * solution is at most this share of the norm of `target`."""
_MOST_STEPS = 200


@dataclass(frozen=True)
class TitleWeights:
    """The weights of the blocks of inputs. A block with a larger weight is penalised less.

    A weight is the variance of the target that the block is expected to explain, if the noise has the variance 1. A
    block with the weight 0 has no effect. `words`, `groups` and `facts`: weights for the coefficients that all channels
    share. The weights that begin with `own_` are for the deviations of a single channel. `level`, `slow_level` and
    `quick_level`: weights for the constant of a channel and for the two drifts of its level.
    """

    words: float = 0.1
    groups: float = 0.1
    facts: float = 0.2
    own_words: float = 0.42
    own_groups: float = 0.84
    own_facts: float = 0.14
    own_meaning: float = 0.6
    level: float = 1.0
    slow_level: float = 0.3
    quick_level: float = 0.2


DEFAULT_WEIGHTS = TitleWeights()


@dataclass(frozen=True)
class TitleInputs:
    """The inputs of the model for n titles in any order.

    `channel` [n]: the channel numbers. `published` [n]: the times of publication in days. `hashed`: the hashed words
    and groups of characters. `facts` [n, f]: the facts about each title and the rarity of its words. `with_moments`
    adds facts about the moment of publication. The facts are standardised, and scaled so that each row of `facts` has
    a length of about 1. `vectors` [n, d]: unit vectors of the titles by a sentence encoder, or None. Without vectors,
    the model has no part for the meaning of titles.
    """

    channel: Rows
    published: Float64s
    hashed: HashedTitles
    facts: Floats
    vectors: Float32s | None = None

    @classmethod
    def of(
        cls,
        titles: Sequence[str],
        channel: Rows,
        published: Float64s,
        known: Rows,
        vectors: Float32s | None = None,
    ) -> TitleInputs:
        """Return the inputs of the model for these titles. See the class for `channel`, `published` and `vectors`.

        The weights of the words, and the means and the scales of the facts, are computed from the rows `known`.
        """
        hashed = HashedTitles.of(titles, known)
        facts = np.hstack([title_facts(titles), word_rarity(hashed, published)])
        return cls(channel, published, hashed, _scaled(facts, known), vectors)

    def with_moments(self, published: Float64s, known: Rows) -> TitleInputs:
        """Return inputs that also have facts about the hour and the weekday of publication (UTC).

        Facts about the moment of publication help to predict the views of videos. These facts cannot help to choose one
        of several titles of one video.
        """
        day = 2 * np.pi * (published % 1.0)
        weekday = np.eye(7)[np.floor(published).astype(int) % 7]
        waves = [wave(harmonic * day) for harmonic in (1, 2) for wave in (np.sin, np.cos)]
        moments = _scaled(np.hstack([np.stack(waves, axis=1), weekday]), known)
        return replace(self, facts=np.hstack([self.facts, moments]))


@dataclass(frozen=True)
class TitleScores:
    """The scores of n titles, in parts.

    `shared` [n]: the part from the coefficients that all channels share. `own` [n]: the part from the deviations of the
    title's channel. `drift` [n]: how far the channel's level had drifted from the channel's constant when the video was
    published. The unit is the robust standard deviation of the channel's log views. The unit differs between channels,
    so only scores of titles of one channel can be compared.
    """

    shared: Float64s
    own: Float64s
    drift: Float64s

    @property
    def total(self) -> Float64s:
        """The score [n] of each title: `shared` plus `own`."""
        return self.shared + self.own

    @property
    def with_drift(self) -> Float64s:
        """The expected target [n] of each video: `total` plus `drift`.

        The drift helps to predict the views of videos of different days. It is equal for all titles of one video.
        """
        return self.total + self.drift


def title_scores(
    inputs: TitleInputs, above: Floats, known: Rows, weights: TitleWeights = DEFAULT_WEIGHTS
) -> TitleScores:
    """Fit the model to the rows `known`, and return the scores of all n titles.

    `above` [n]: the log views minus the trend of the channel. Only the rows `known` are read. For a channel with v
    videos, the function needs about 20 v^2 bytes of memory.
    """
    rows, n = np.sort(known), len(inputs.channel)
    own_scores, drifts = np.zeros(n), np.zeros(n)
    if not len(rows):
        return TitleScores(np.zeros(n), own_scores, drifts)
    target = relative_to_spread(np.asarray(above, np.float64)[rows], inputs.channel[rows])
    shared = _blocks(inputs, weights.words, weights.groups, weights.facts)
    own = _blocks(inputs, weights.own_words, weights.own_groups, weights.own_facts)
    channels = [_Channel.of(inputs, own, rows, number, weights) for number in np.unique(inputs.channel[rows])]
    duals = _Dual.of(shared[rows], channels, weights.level).solve(target)
    for channel in channels:
        of_channel = duals[channel.places]
        own_scores[channel.rows], drifts[channel.rows] = channel.own @ of_channel, channel.drift @ of_channel
    return TitleScores(np.asarray(shared @ (shared[rows].T @ duals), np.float64), own_scores, drifts)


def _scaled(facts: Floats, known: Rows) -> Float32s:
    """Return the facts [n, f], standardised by the rows `known`, clipped, and scaled so that a row has a length of
    about 1.
    """
    mean, spread = facts[known].mean(axis=0), facts[known].std(axis=0)
    standardised = (facts - mean) / np.where(spread > 1e-9, spread, np.inf)
    return np.asarray(np.clip(standardised, -_FARTHEST, _FARTHEST) / np.sqrt(facts.shape[1]), np.float32)


def relative_to_spread(above: Float64s, channel: Rows) -> Float64s:
    """Return the log views above the trend [m], divided by the spread of the channel, and clipped to -3 to 3.

    The spread of one channel may be ten times the spread of another channel. Without the division, channels with a
    large spread would dominate the fit, although pairs of all channels have the same weight in an evaluation. The
    spread of a channel is computed from the squares of `above`. Let s be the spread over all channels. `above` is
    clipped at 4 s before it is squared. In the estimate, s has the weight of 10 videos:

        spread^2 = (sum of squares + 10 s^2) / (count + 10),    s = 1.4826 median(abs(above))
    """
    typical = max(float(np.median(np.abs(above))) * 1.4826, 1e-9)
    _, number = np.unique(channel, return_inverse=True)
    squares = np.minimum(np.abs(above), 4 * typical) ** 2
    count = np.bincount(number)
    spread = np.sqrt((np.bincount(number, squares) + _PRIOR_VIDEOS * typical**2) / (count + _PRIOR_VIDEOS))
    return np.asarray(np.clip(above / spread[number], -_CLIP, _CLIP), np.float64)


def _blocks(inputs: TitleInputs, words: float, groups: float, facts: float) -> SparseRows:
    """Return the words, groups of characters and facts side by side [n, s]. Each block is multiplied by the square root
    of its weight."""
    from scipy.sparse import csr_array, hstack

    weighted = (inputs.hashed.words, words), (inputs.hashed.groups, groups), (csr_array(inputs.facts), facts)
    return csr_array(hstack([part * np.float32(np.sqrt(weight)) for part, weight in weighted], format="csr"))


@dataclass(frozen=True)
class _Channel:
    """The covariances between the videos of a channel (a videos) and the known videos of the channel (v videos).

    `rows` [a]: the rows of the channel's videos. `known` [v]: which of `rows` are known. `places` [v]: the places of the
    known videos among all known videos. `own` [a, v] and `drift` [a, v]: the covariances of the channel's deviations
    and of the drift of its level (see the docstring of the module).
    """

    rows: Rows
    known: Rows
    places: Rows
    own: Float32s
    drift: Float32s

    @classmethod
    def of(cls, inputs: TitleInputs, own: SparseRows, rows: Rows, number: int, weights: TitleWeights) -> _Channel:
        """Return the covariances of the channel `number`. `own` [n, s]: the blocks of all videos. `rows`: all known
        rows in rising order.
        """
        places = np.flatnonzero(inputs.channel[rows] == number)
        of_channel = np.flatnonzero(inputs.channel == number)
        known = np.searchsorted(of_channel, rows[places])
        days = np.abs(inputs.published[of_channel, None] - inputs.published[rows[places]])
        alike = np.asarray((own[of_channel] @ own[rows[places]].T).toarray(), np.float64)
        if inputs.vectors is not None:
            alike += weights.own_meaning * _alike_in_meaning(inputs.vectors[of_channel], known)
        alike *= (1 + np.exp(-days / _TASTE_DAYS)) / 2
        drift = weights.slow_level * np.exp(-days / _SLOW_DAYS) + weights.quick_level * np.exp(-days / _QUICK_DAYS)
        return cls(of_channel, known, places, alike.astype(np.float32), drift.astype(np.float32))


def _alike_in_meaning(vectors: Float32s, known: Rows) -> Floats:
    """Return the similarity (0 to 1) of each of a titles of a channel to each of its v known titles, [a, v].

    `vectors` [a, d] stand for the meanings of the titles. `known` [v] are the rows of the known titles.

    The mean of the known titles is subtracted first. Otherwise, all titles of a channel about one topic would be alike.
    """
    centred = vectors - vectors[known].mean(axis=0)
    units = centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-6)
    return np.asarray(np.exp((units @ units[known].T - 1) / _MEANING_LENGTH), np.float64)


@dataclass(frozen=True)
class _Dual:
    """The matrix K [m, m] of the linear system that the fit solves, for m known videos.

    K is `shared` times its transpose, plus one block for each channel on the diagonal.

    - `shared` [m, s]: the inputs of the known videos for the coefficients that all channels share.
    - `places`: for each channel, the places of its known videos.
    - `blocks`: the block of each channel. Each block is the covariance of the channel's deviations and of its level,
      plus the identity matrix, because the noise has the variance 1.
    - `factors`: for each channel, the Cholesky factor of the part of K that belongs to the channel's videos.
    """

    shared: SparseRows
    transposed: SparseRows
    places: list[Rows]
    blocks: list[Floats]
    factors: list[Any]

    @classmethod
    def of(cls, shared: SparseRows, channels: list[_Channel], level: float) -> _Dual:
        from scipy.linalg import cho_factor

        blocks, factors = [], []
        for channel in channels:
            covariance = (channel.own + channel.drift)[channel.known].astype(np.float64)
            block = covariance + level + np.eye(len(channel.places))
            of_channel = shared[channel.places]
            in_common = np.asarray((of_channel @ of_channel.T).toarray(), np.float64)
            blocks.append(block.astype(np.float32))
            factors.append(cho_factor(block + in_common, lower=True))
        return cls(shared, shared.T.tocsr(), [channel.places for channel in channels], blocks, factors)

    def solve(self, target: Float64s) -> Float64s:
        """Return the solution [m] of K * solution = `target`, by preconditioned conjugate gradients."""
        solution, residual = np.zeros_like(target), target.copy()
        direction = preconditioned = self._solve_channels(residual)
        decrease = float(residual @ preconditioned)
        enough = _CLOSE * float(np.linalg.norm(target))
        for _ in range(_MOST_STEPS):
            if np.linalg.norm(residual) <= enough:
                break
            image = self._multiply(direction)
            step = decrease / float(direction @ image)
            solution, residual = solution + step * direction, residual - step * image
            preconditioned = self._solve_channels(residual)
            before, decrease = decrease, float(residual @ preconditioned)
            direction = preconditioned + decrease / before * direction
        return solution

    def _multiply(self, values: Float64s) -> Float64s:
        product = np.asarray(self.shared @ (self.transposed @ values), np.float64)
        for places, block in zip(self.places, self.blocks, strict=True):
            product[places] += block @ values[places]
        return product

    def _solve_channels(self, values: Float64s) -> Float64s:
        from scipy.linalg import cho_solve

        solved = np.empty_like(values)
        for places, factor in zip(self.places, self.factors, strict=True):
            solved[places] = cho_solve(factor, values[places], check_finite=False)
        return solved
