"""Score titles by the words of all channels and the words of one channel, learnt together (partial pooling).

Each channel's weights are those of all channels plus its own deviations, and one penalised least-squares fit finds both
[1]_ [2]_:

    target(i) = level(channel) + x(i) . shared + z(i) . own(channel) + noise

    x   hashed words and groups of characters; the title's facts and how rare its words were, `word_rarity`
    z   the same inputs, with weights of their own

The score is x . shared + z . own(channel). A channel without known videos has no deviations. How strongly each block is
penalised was chosen by nested time splits on 510 real channels: docs/training-recipe.md.

The fit is a linear mixed model, solved in its dual form as kernel ridge regression [3]_ by conjugate gradients, with
one exact block per channel as the preconditioner.

.. [1] H. Daumé III, "Frustratingly easy domain adaptation", ACL 2007.
.. [2] C. Henderson, "Best linear unbiased estimation and prediction under a selection model", Biometrics, 1975.
.. [3] C. Saunders, A. Gammerman and V. Vovk, "Ridge regression learning algorithm in dual variables", ICML 1998.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from thumblab_core.arrays import Float64s, Floats, Rows
from thumblab_core.ranking.title_facts import title_facts
from thumblab_pipelines.features.hashed_titles import HashedTitles, SparseRows, word_rarity

_FARTHEST = 4.0
"""Standard deviations at which a fact is clipped."""
_CLIP = 3.0
"""Robust standard deviations of a channel at which its targets are clipped."""
_PRIOR_VIDEOS = 10.0
"""Videos that the spread of all channels counts for in the spread of one channel."""
_CLOSE = 1e-2
"""Relative residual at which the solver stops."""
_MOST_STEPS = 200


@dataclass(frozen=True)
class TitleWeights:
    """Variance that each block explains, relative to a noise variance of 1. 0 leaves a block out."""

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
    """n titles in any order.

    `channel` [n]: numbers; `hashed`: the words; `facts` [n, f]: facts and rarity, standardised, each row of length
    about 1.
    """

    channel: Rows
    hashed: HashedTitles
    facts: Floats

    @classmethod
    def of(cls, titles: Sequence[str], channel: Rows, published: Float64s, known: Rows) -> TitleInputs:
        """Return the inputs of titles, `published` [n] in days; weights and scales are fitted to the rows `known`."""
        hashed = HashedTitles.of(titles, known)
        facts = np.hstack([title_facts(titles), word_rarity(hashed, published)])
        mean, spread = facts[known].mean(axis=0), facts[known].std(axis=0)
        standardised = (facts - mean) / np.where(spread > 1e-9, spread, np.inf)
        clipped = np.clip(standardised, -_FARTHEST, _FARTHEST) / np.sqrt(facts.shape[1])
        return cls(channel, hashed, clipped.astype(np.float32))


@dataclass(frozen=True)
class TitleScores:
    """Scores of n titles: `shared` [n] by what all channels have in common, `own` [n] by the channel's deviations.

    The unit is the robust standard deviation of a channel's log views. Compare titles of one channel only.
    """

    shared: Float64s
    own: Float64s

    @property
    def total(self) -> Float64s:
        """The scores [n] for the titles' own channels."""
        return self.shared + self.own


def title_scores(
    inputs: TitleInputs, above: Floats, known: Rows, weights: TitleWeights = DEFAULT_WEIGHTS
) -> TitleScores:
    """Fit to the known rows and return the scores of all n titles.

    `above` [n]: log views above the channel's trend; rows that are not known are not read. Memory: 12 bytes times the
    square of a channel's known videos, for each channel.
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


def relative_to_spread(above: Float64s, channel: Rows) -> Float64s:
    """Return log views above the trend [m] in units of the channel's robust spread, clipped to -3 to 3.

    Channels differ tenfold in spread, and their pairs count equally. The spread of a channel is the root mean square of
    `above` clipped at four times the overall spread, shrunk to the overall spread s by 10 videos:

        spread^2 = (sum of squares + 10 s^2) / (count + 10),    s = 1.4826 median(abs(above))
    """
    typical = max(float(np.median(np.abs(above))) * 1.4826, 1e-9)
    _, number = np.unique(channel, return_inverse=True)
    squares = np.minimum(np.abs(above), 4 * typical) ** 2
    count = np.bincount(number)
    spread = np.sqrt((np.bincount(number, squares) + _PRIOR_VIDEOS * typical**2) / (count + _PRIOR_VIDEOS))
    return np.asarray(np.clip(above / spread[number], -_CLIP, _CLIP), np.float64)


def _blocks_of(inputs: TitleInputs, weights: TitleWeights) -> tuple[SparseRows, SparseRows]:
    """Return x and z of the module's formula, each block scaled by the root of its weight."""
    from scipy.sparse import csr_array, hstack

    hashed, facts = inputs.hashed, csr_array(inputs.facts)
    shared = [(hashed.words, weights.words), (hashed.groups, weights.groups), (facts, weights.facts)]
    own = [(hashed.words, weights.own_words), (hashed.groups, weights.own_groups), (facts, weights.own_facts)]
    scaled = [[part * np.float32(np.sqrt(weight)) for part, weight in side] for side in (shared, own)]
    return csr_array(hstack(scaled[0], format="csr")), csr_array(hstack(scaled[1], format="csr"))


@dataclass(frozen=True)
class _Dual:
    """The kernel of m known videos, K = shared shared' + blocks, where a block is one channel's own part and noise.

    `channels`: each channel with the places of its videos; `blocks`: the part of K that only these videos have;
    `factors`: Cholesky factors of K within each channel.
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
        """Return K^-1 target [m] by preconditioned conjugate gradients."""
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
