"""Score both pictures of a pair under the same title, because a creator compares pictures for one title.

All other evaluations score each picture of a pair under the title of its own video.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Flags, Float32s, Float64s, Rows
from thumblab_core.ranking.adapters import Adapter
from thumblab_core.ranking.agreement import agreement
from thumblab_core.ranking.inputs import AGREEMENT_BLOCK
from thumblab_pipelines.dataset.splits import TEST
from thumblab_pipelines.statistics.held_out_scores import PictureGaps
from thumblab_pipelines.training.corpus import Corpus

if TYPE_CHECKING:
    from thumblab_pipelines.training.global_model import GlobalModel

MOST_PAIRS = 10_000
"""Maximum number of pairs for an evaluation. If there are more pairs, a fixed random sample is used."""

_ROWS_AT_ONCE = 4_096
"""Number of pictures that are scored at a time. The inputs of this many pictures take about 60 MB."""


@dataclass(frozen=True)
class OneTitleScorer:
    """A scorer that consists of one global model for all channels, and of channel adapters.

    The scorer scores the picture of one video under the title of another video of the same channel.
    """

    corpus: Corpus
    model: GlobalModel
    adapters: Mapping[str, Adapter]

    def gaps(self, pairs: Rows) -> Float64s:
        """Return the picture gap of each pair [k, 2], under the winner's title and under the loser's title.

        A picture gap is the score of the winner's picture minus the score of the loser's picture, both under the same
        title. `pairs` [k]: row numbers of the dataset's pairs.
        """
        return self.gaps_without_and_with_adapters(pairs)[1]

    def gaps_without_and_with_adapters(self, pairs: Rows) -> tuple[Float64s, Float64s]:
        """Return the picture gaps [k, 2] of the global model alone, and the picture gaps with the adapters. See
        `gaps`."""
        winners, losers = pair_sides(self.corpus, pairs)
        own = self._scores_under_own_title(np.union1d(winners, losers))
        without, adapted = (
            np.stack([of_videos[winners] - under_winner, under_loser - of_videos[losers]], axis=1)
            for of_videos, under_winner, under_loser in zip(
                own, self._crossed_scores(losers, winners), self._crossed_scores(winners, losers), strict=True
            )
        )
        return without, adapted

    def _scores_under_own_title(self, rows: Rows) -> tuple[Float64s, Float64s]:
        """Return the scores [n] of all videos, without and with adapters. Only scores of `rows` are adapted."""
        without = self.model.scores.astype(np.float64)
        adapted = without.copy()
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            adapted[part] = self._adapted(self.corpus.inputs[part], without[part], self.corpus.channel[part])
        return without, adapted

    def _crossed_scores(self, pictures: Rows, titles: Rows) -> tuple[Float64s, Float64s]:
        """Return the scores [k] of the pictures of the videos `pictures`, under the titles of the videos `titles`.

        The first array has the scores without channel adapters, and the second array has the scores with adapters. The
        video with the picture and the video with the title must belong to the same channel.
        """
        without, adapted, inputs = np.zeros(len(pictures)), np.zeros(len(pictures)), self.corpus.inputs
        layout = self.model.model.config.layout
        end = layout.image
        for start in range(0, len(pictures), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            mixed = inputs[titles[part]]
            mixed[:, :end] = inputs[pictures[part]][:, :end]
            mixed[:, layout.columns(AGREEMENT_BLOCK)] = self._agreement(pictures[part], titles[part])
            without[part] = self.model.model.scores(mixed)
            adapted[part] = self._adapted(mixed, without[part], self.corpus.channel[pictures[part]])
        return without, adapted

    def scores_of(self, inputs: Float32s, channel: npt.NDArray[np.str_]) -> Float64s:
        """Return the score of each picture with its title [k]. `inputs` [k, d]: the model's inputs for these pictures
        and titles.

        `channel` [k]: the channel of each picture. If a channel has an adapter, the adapter is applied.
        """
        return self._adapted(inputs, self.model.model.scores(inputs).astype(np.float64), channel)

    def _adapted(self, inputs: Float32s, scores: Float64s, channel: npt.NDArray[np.str_]) -> Float64s:
        """Return a copy of the scores [k] of the global model with the adapters applied. See `scores_of`."""
        scores = scores.copy()
        for name in np.unique(channel):
            adapter = self.adapters.get(str(name))
            if adapter is not None:
                rows = np.flatnonzero(channel == name)
                scores[rows] = adapter.adjust(self.model.model.standardise(inputs[rows]), scores[rows])
        return scores

    def _agreement(self, pictures: Rows, titles: Rows) -> Float32s:
        """Return how well the words in each of k pictures agree with the title of the same row (see `agreement`)."""
        words, texts = self.corpus.data.picture_words, self.corpus.data.videos.title.tolist()
        return agreement([words[row] for row in pictures], [texts[row] for row in titles])


def held_out_picture_gaps(
    corpus: Corpus, known: OneTitleScorer, unseen: Sequence[tuple[Flags, OneTitleScorer]]
) -> dict[str, PictureGaps]:
    """Return the picture gaps of held-out pairs, with the keys of `HeldOutScores.pictures`.

    `known`: the released model with its adapters. `unseen`: the models that were trained without some channels. Each
    model in `unseen` comes with flags [n], which mark the videos of the left-out channels, and with adapters for these
    channels.
    """
    parts = corpus.data.pairs.part.to_numpy(object)
    test, every = _sample(np.flatnonzero(parts == TEST)), _sample(np.arange(len(parts)))
    without = [(rows, OneTitleScorer(corpus, scorer.model, {})) for rows, scorer in unseen]
    future_unadapted, future = known.gaps_without_and_with_adapters(test)
    adapted_unadapted, adapted = _of_left_out(corpus, unseen, test)
    return {
        "future": PictureGaps(test, future),
        "future_unadapted": PictureGaps(test, future_unadapted),
        "new": _of_left_out(corpus, without, every)[0],
        "adapted": adapted,
        "adapted_unadapted": adapted_unadapted,
    }


def pair_sides(corpus: Corpus, pairs: Rows) -> tuple[Rows, Rows]:
    """Return the row of the winner and the row of the loser of each pair in `pairs` [k]."""
    winners, losers = (corpus.data.pairs[side].to_numpy(np.intp)[pairs] for side in ("winner", "loser"))
    return winners, losers


def _of_left_out(
    corpus: Corpus, scorers: Sequence[tuple[Flags, OneTitleScorer]], pairs: Rows
) -> tuple[PictureGaps, PictureGaps]:
    """Return the picture gaps of pairs, without and with adapters. A pair is scored by the model that was trained
    without the channel of the pair.

    A pair in `pairs` is left out if there is no such model for its channel.
    """
    winners, _ = pair_sides(corpus, pairs)
    chosen = [pairs[left_out[winners]] for left_out, _ in scorers]
    gaps = [scorer.gaps_without_and_with_adapters(own) for own, (_, scorer) in zip(chosen, scorers, strict=True)]
    if not gaps:
        none = PictureGaps(np.zeros(0, np.intp), np.zeros((0, 2)))
        return none, none
    without, adapted = (PictureGaps(np.concatenate(chosen), np.concatenate(part)) for part in zip(*gaps, strict=True))
    return without, adapted


def _sample(pairs: Rows) -> Rows:
    if len(pairs) <= MOST_PAIRS:
        return pairs
    return np.sort(np.random.default_rng(0).choice(pairs, MOST_PAIRS, replace=False))
