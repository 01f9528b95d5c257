"""Two models of titles, which `benchmarks.title_panel` compares with `thumblab_pipelines.training.titles`.

`Bar` is a ridge regression on hashed words. `LabTitles` is the linear part of the lab's ranking model, with titles as
its only input.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from benchmarks.panel.data import KNOWN_SHARE, PairSet, Panel
from thumblab_core.arrays import Flags, Float32s, Float64s, Floats, Rows
from thumblab_core.ranking.architecture import RankerConfig
from thumblab_core.ranking.inputs import model_inputs
from thumblab_core.ranking.kernel import Kernel
from thumblab_core.ranking.ranker import Ranker
from thumblab_pipelines.features.hashed_titles import hashed
from thumblab_pipelines.trainable_ranker import TrainableRanker
from thumblab_pipelines.training.adaptation import ScoredVideos, adapted_scores, fit_adapters
from thumblab_pipelines.training.cross_fitting import folds_in_time
from thumblab_pipelines.training.linear import TITLE_PENALTIES, best_penalty, fit_ridge
from thumblab_pipelines.training.title_prior.prior import TitlePrior

_PENALTIES = (3.0, 10.0, 30.0)
_OWN_PENALTIES = (1.0, 2.0, 4.0)
_FOLDS = 3


@dataclass(frozen=True)
class Bar:
    """A ridge regression on titles, which the other models must beat.

    The inputs are the hashed words and groups of characters of the title. The first regression is fitted to all
    channels. The residuals of this regression are the log views above the channel's trend, minus the scores. For each
    channel, a second regression can be fitted to the residuals (partial pooling).

    `inputs` [n, 2 * BUCKETS] is a sparse matrix. One half of a row is for words, and the other half is for groups of
    characters. Each half is a unit vector.
    """

    panel: Panel
    inputs: Any

    @classmethod
    def of(cls, panel: Panel) -> Bar:
        from scipy.sparse import csr_array, hstack
        from sklearn.preprocessing import normalize

        halves = hashed(panel.titles, "word", (1, 2)), hashed(panel.titles, "char_wb", (3, 5))
        return cls(panel, csr_array(hstack([normalize(half) for half in halves], format="csr")))

    def choose(self, known: Flags) -> tuple[float, float]:
        """Return two penalties: the best penalty for the regression of all channels, and the best for the regressions
        of single channels.

        To compare penalties, the regressions are fitted to the oldest 80 % of each channel's known videos. The
        regressions are then evaluated on the pairs of the other 20 %.
        """
        early = known & (self.panel.place < KNOWN_SHARE**2)
        target = self.panel.age_corrected(early)
        pairs = PairSet.of(self.panel, target, known & ~early)
        above, best = self.panel.above_trend(target, early), (-1.0, _PENALTIES[0], _OWN_PENALTIES[0])
        shared = {penalty: self.shared(above, early, penalty) for penalty in _PENALTIES}
        for penalty, own in product(_PENALTIES, _OWN_PENALTIES):
            auc = float(pairs.by_channel(self.pooled(shared[penalty], above, early, own)).mean())
            best = max(best, (auc, penalty, own))
        return best[1:]

    def choose_shared(self, known: Flags) -> float:
        """Return the best penalty for a regression that is fitted to many channels and scores the videos of other
        channels.

        To compare penalties, the regression is fitted to 80 % of the channels. The regression is then evaluated on the
        pairs of the other 20 %. Only known videos are used.
        """
        out = (
            known
            & (np.random.default_rng(0).permutation(int(self.panel.channel.max()) + 1) % 5 == 0)[self.panel.channel]
        )
        learnt = known & ~out
        target = self.panel.age_corrected(learnt)
        pairs, above = PairSet.of(self.panel, target, out), self.panel.above_trend(target, learnt)
        aucs = [(float(pairs.by_channel(self.shared(above, learnt, p)).mean()), p) for p in _PENALTIES]
        return max(aucs)[1]

    def shared(self, above: Floats, known: Flags, penalty: float) -> Float64s:
        """Return the scores [n] of the regression that is fitted to the known videos of all channels.

        `above` [n] are the log views above the trend of the channel.
        """
        from sklearn.linear_model import Ridge

        ridge = Ridge(penalty, solver="sparse_cg", tol=1e-3).fit(self.inputs[known], above[known])
        return np.asarray(self.inputs @ ridge.coef_, np.float64)

    def pooled(self, shared: Float64s, above: Floats, known: Flags, penalty: float) -> Float64s:
        """Return the scores [n] with partial pooling. `shared` [n] contains the scores of the regression of all
        channels.

        For each channel, a second regression is fitted to the residuals of the channel's known videos. The predictions
        of the second regression are added to the scores in `shared`.
        """
        scores = shared.copy()
        for rows in np.split(np.arange(len(shared)), np.flatnonzero(np.diff(self.panel.channel)) + 1):
            learnt = np.flatnonzero(known[rows])
            if not len(learnt):
                continue
            gram = np.asarray((self.inputs[rows] @ self.inputs[rows].T).toarray(), np.float64)
            residual = (above - shared)[rows[learnt]]
            kernel = gram[np.ix_(learnt, learnt)] + penalty * np.eye(len(learnt))
            scores[rows] += gram[:, learnt] @ np.linalg.solve(kernel, residual - residual.mean())
        return scores


class LabTitles:
    """The linear part of the lab's ranking model, with channel adapters.

    The inputs are the vectors and the facts of titles, and no pictures. `vectors` [n, d_t] contains the vectors that
    the lab's title encoder makes of the titles. If `prior` is given, the linear model starts from this title prior.
    """

    def __init__(self, panel: Panel, vectors: Float32s, prior: TitlePrior | None = None) -> None:
        no_pictures = np.zeros((len(panel.titles), 0), np.float32)
        self._panel, self._prior = panel, prior
        self._inputs = model_inputs(no_pictures, vectors, panel.titles)
        self._config = RankerConfig("none", "given", 0, vectors.shape[1])
        self._penalty: float | None = None

    def shared(self, above: Floats, known: Flags) -> Float64s:
        """Return the scores [n] of the linear model without adapters, fitted to the known videos.

        `above` [n] are the log views above the trend of the channel. The first call chooses the ridge penalty, and
        later calls use the same penalty.
        """
        return self._line(above, known)[0]

    def adapted(self, above: Floats, known: Flags) -> Float64s:
        """Return the scores [n] with channel adapters, which are fitted to the known videos.

        An adapter multiplies the score of the linear model by a slope (`Adapter.score_slope`). To measure the slope,
        three models are trained, each without one third of the channels. Each model scores the videos of the channels
        on which it was not trained. The slope is fitted to these scores, as in the lab's training.
        """
        scores, ranker = self._line(above, known)
        channel = self._panel.channel
        unseen = np.zeros(len(above))
        for fold in range(_FOLDS):
            out = channel % _FOLDS == fold
            unseen[known & out] = self._line(above, known & ~out)[0][known & out]
        slope = float(np.clip(_slope(unseen[known], above[known], channel[known]), 0.02, 1.0))
        kernel = Kernel.of(self._config.layout)
        videos = ScoredVideos(self._inputs, scores, channel.astype(str), ranker.standardise, kernel)
        return adapted_scores(videos, fit_adapters(videos, above, np.flatnonzero(known), slope))

    def _line(self, above: Floats, known: Flags) -> tuple[Float64s, Ranker]:
        rows = np.flatnonzero(known)
        trainable = TrainableRanker(self._config)
        trainable.fit_scale(self._inputs[rows])
        ranker = trainable.ranker()
        inputs = ranker.standardise(self._inputs[rows])
        start = np.zeros(inputs.shape[1], np.float32) if self._prior is None else self._prior.weights(ranker)
        left = above - np.bincount(rows, inputs @ start, len(above))
        if self._penalty is None:
            self._penalty = self._chosen(inputs, left, rows)
        line = start + fit_ridge(inputs, left[rows], self._penalty)
        blocks = np.array_split(self._inputs, max(1, len(self._inputs) // 5_000))
        return np.concatenate([ranker.standardise(block) @ line for block in blocks]).astype(np.float64), ranker

    def _chosen(self, inputs: Float32s, above: Floats, rows: Rows) -> float:
        fold = folds_in_time(self._panel.channel[rows].astype(str))
        return best_penalty(inputs, above[rows], fold, TITLE_PENALTIES)


def _slope(scores: Floats, above: Floats, channel: Rows) -> float:
    """Return the slope of a least-squares fit of `above` [m] on the scores [m]. Return 1 if the scores do not vary.

    `above` contains log views above the trend of the channel. Scores and `above` are first centred within each channel.
    """
    count = np.maximum(np.bincount(channel), 1)
    x, y = (values - (np.bincount(channel, values) / count)[channel] for values in (scores, above))
    spread = float((x**2).sum())
    return float((x * y).sum()) / spread if spread > 1e-12 else 1.0
