"""Score titles by their words. The model learns which words work on all channels, and how each single channel differs.

The model is fitted to the known videos by one penalised least-squares fit [1]_ [2]_:

    target(i) = level(channel) + x(i) . shared + z(i) . own(channel) + noise

    target   the log views of video i minus the trend of its channel, see `relative_to_spread`
    x        three blocks of inputs: hashed words, hashed groups of characters, and facts about the title. The facts
             include how rare its words were (`word_rarity`).
    z        the same three blocks, scaled differently, because their coefficients are penalised differently
    shared   the coefficients that all channels share
    own      the deviations of the channel from `shared`. The deviations are 0 if the channel has no known videos.
    level    a constant for each channel

The score of a title is x . shared + z . own(channel). The penalty of each block was chosen on 510 real channels: models
were fitted to earlier videos and evaluated on later videos. docs/training-recipe.md has the details.

The fit is a linear mixed model. The fit is solved in its dual form, as kernel ridge regression [3]_, by conjugate
gradients. The preconditioner is the exact solution within each channel.

.. [1] H. Daumé III, "Frustratingly easy domain adaptation", ACL 2007.
.. [2] C. Henderson, "Best linear unbiased estimation and prediction under a selection model", Biometrics, 1975.
.. [3] C. Saunders, A. Gammerman and V. Vovk, "Ridge regression learning algorithm in dual variables", ICML 1998.
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
"""In the estimate of a channel's spread, the spread over all channels has the weight of this many videos."""
_CLOSE = 1e-2
"""The solver stops when the norm of `target` - K * solution is at most this share of the norm of `target`."""
_MOST_STEPS = 200


@dataclass(frozen=True)
class TitleWeights:
    """The weights of the blocks of inputs. A block with a larger weight is penalised less.

    A weight is the variance of the target that the block is expected to explain, if the noise has the variance 1. A
    block with the weight 0 has no effect. `words`, `groups` and `facts`: weights for the coefficients that all channels
    share. The weights that begin with `own_` are for the deviations of a single channel from these coefficients.
    `level`: weight for the constant of a channel.
    """

    words: float = 0.1
    groups: float = 0.1
    facts: float = 0.2
    own_words: float = 0.3
    own_groups: float = 0.6
    own_facts: float = 0.1
    level: float = 1.0


DEFAULT_WEIGHTS = TitleWeights()


@dataclass(frozen=True)
class TitleInputs:
    """The inputs of the model for n titles in any order.

    `channel` [n]: the channel numbers. `hashed`: the hashed words and groups of characters. `facts` [n, f]: the facts
    about each title and the rarity of its words. `with_moments` adds facts about the moment of publication. The facts
    are standardised, and scaled so that each row of `facts` has a length of about 1.
    """

    channel: Rows
    hashed: HashedTitles
    facts: Floats

    @classmethod
    def of(cls, titles: Sequence[str], channel: Rows, published: Float64s, known: Rows) -> TitleInputs:
        """Return the inputs of the model for these titles. `published` [n]: the titles' times of publication in days.

        The weights of the words, and the means and the scales of the facts, are computed from the rows `known`.
        """
        hashed = HashedTitles.of(titles, known)
        facts = np.hstack([title_facts(titles), word_rarity(hashed, published)])
        return cls(channel, hashed, _scaled(facts, known))

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
    """The scores of n titles, as the sum of two parts.

    `shared` [n]: the part from the coefficients that all channels share. `own` [n]: the part from the deviations of the
    title's channel. The unit is the robust standard deviation of the channel's log views. The unit differs between
    channels, so only scores of titles of one channel can be compared.
    """

    shared: Float64s
    own: Float64s

    @property
    def total(self) -> Float64s:
        """The score [n] of each title: `shared` plus `own`."""
        return self.shared + self.own


def title_scores(
    inputs: TitleInputs, above: Floats, known: Rows, weights: TitleWeights = DEFAULT_WEIGHTS
) -> TitleScores:
    """Fit the model to the rows `known`, and return the scores of all n titles.

    `above` [n]: the log views minus the trend of the channel. Only the rows `known` are read. For a channel with v
    known videos, the function needs 12 v^2 bytes of memory.
    """
    rows = np.sort(known)
    if not len(rows):
        return TitleScores(np.zeros(len(inputs.channel)), np.zeros(len(inputs.channel)))
    target = relative_to_spread(np.asarray(above, np.float64)[rows], inputs.channel[rows])
    shared, own = _blocks_of(inputs, weights)
    model = _Dual.of(shared[rows], own[rows], inputs.channel[rows], weights.level)
    duals = model.solve(target)
    shared_scores = shared @ (shared[rows].T @ duals)
    own_scores = np.zeros(len(inputs.channel))
    for channel, places in model.channels:
        of_channel = np.flatnonzero(inputs.channel == channel)
        own_scores[of_channel] = own[of_channel] @ (own[rows[places]].T @ duals[places])
    return TitleScores(np.asarray(shared_scores, np.float64), own_scores)


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


def _blocks_of(inputs: TitleInputs, weights: TitleWeights) -> tuple[SparseRows, SparseRows]:
    """Return the inputs for the shared coefficients [n, s], and the inputs for a channel's own deviations [n, s].

    The module's docstring calls the two results x and z. The inputs x and z have the same three blocks: words, groups
    of characters, and facts. Each block is multiplied by the square root of its weight, which differs between x and z.
    """
    from scipy.sparse import csr_array, hstack

    hashed, facts = inputs.hashed, csr_array(inputs.facts)
    shared = [(hashed.words, weights.words), (hashed.groups, weights.groups), (facts, weights.facts)]
    own = [(hashed.words, weights.own_words), (hashed.groups, weights.own_groups), (facts, weights.own_facts)]
    scaled = [[part * np.float32(np.sqrt(weight)) for part, weight in side] for side in (shared, own)]
    return csr_array(hstack(scaled[0], format="csr")), csr_array(hstack(scaled[1], format="csr"))


@dataclass(frozen=True)
class _Dual:
    """The matrix K [m, m] of the linear system that the fit solves, for m known videos.

    K is `shared` times its transpose, plus one block for each channel on the diagonal.

    - `shared` [m, s]: the inputs of the known videos for the coefficients that all channels share.
    - `channels`: the number of each channel, and the rows of its known videos.
    - `blocks`: the block of each channel. Each block is the sum of three terms. The first term is the inputs of the
      channel's videos for the channel's own deviations, times their transpose. The second term is `TitleWeights.level`
      in every cell, for the channel's constant. The third term is the identity matrix, because the noise has the
      variance 1.
    - `factors`: for each channel, the Cholesky factor of the part of K that belongs to the channel's videos.
    """

    shared: SparseRows
    transposed: SparseRows
    channels: list[tuple[int, Rows]]
    blocks: list[Floats]
    factors: list[Any]

    @classmethod
    def of(cls, shared: SparseRows, own: SparseRows, channel: Rows, level: float) -> _Dual:
        from scipy.linalg import cho_factor

        channels = [(int(number), np.flatnonzero(channel == number)) for number in np.unique(channel)]
        blocks, factors = [], []
        for _, places in channels:
            deviations = np.asarray((own[places] @ own[places].T).toarray(), np.float64)
            block = deviations + level + np.eye(len(places))
            in_common = np.asarray((shared[places] @ shared[places].T).toarray(), np.float64)
            blocks.append(block.astype(np.float32))
            factors.append(cho_factor(block + in_common, lower=True))
        return cls(shared, shared.T.tocsr(), channels, blocks, factors)

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
        for (_, places), block in zip(self.channels, self.blocks, strict=True):
            product[places] += block @ values[places]
        return product

    def _solve_channels(self, values: Float64s) -> Float64s:
        from scipy.linalg import cho_solve

        solved = np.empty_like(values)
        for (_, places), factor in zip(self.channels, self.factors, strict=True):
            solved[places] = cho_solve(factor, values[places], check_finite=False)
        return solved
