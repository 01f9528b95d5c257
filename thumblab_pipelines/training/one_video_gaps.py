"""Score the two pictures of held-out one-video pairs, each picture under its own title."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from thumblab_core.arrays import Flags, Float64s, Rows
from thumblab_core.ranking.skill import EXPERIMENT
from thumblab_pipelines.dataset.splits import TEST, TRAIN, VALIDATION
from thumblab_pipelines.statistics.held_out_scores import OneVideoGaps
from thumblab_pipelines.training.corpus import Corpus
from thumblab_pipelines.training.one_video_inputs import OneVideoInputs
from thumblab_pipelines.training.picture_gaps import OneTitleScorer

LEAST_EXPERIMENTS, LEAST_CHANNELS = 50, 5
"""Minimum numbers of tested videos and of their channels. With fewer videos or channels, win probabilities are not
fitted to experiments."""


def one_video_gaps(corpus: Corpus, scorer: OneTitleScorer, pairs: Rows) -> OneVideoGaps:
    """Return the score of picture a minus the score of picture b, for the one-video pairs with the row numbers
    `pairs`."""
    if not len(pairs):
        return OneVideoGaps(pairs, np.zeros(0))
    channel = corpus.data.one_video.pairs.channel_id.to_numpy(str)[pairs]
    inputs = OneVideoInputs.of(corpus.data.one_video, pairs)
    return OneVideoGaps(pairs, scorer.scores_of(inputs.first, channel) - scorer.scores_of(inputs.second, channel))


def held_out_one_video_gaps(
    corpus: Corpus, known: OneTitleScorer, unseen: Sequence[tuple[Flags, OneTitleScorer]]
) -> dict[str, OneVideoGaps]:
    """Return the gaps of held-out pairs that are decided, with the keys of `HeldOutScores.one_video`.

    See `held_out_picture_gaps` for `known` and `unseen`. If a model was trained without a channel, all decided pairs of
    this channel are held out. A pair of a known channel is held out if it is in the test part and is late. A pair is
    late if it happened after the publication of the last video that the model and its adapter were fitted to.
    """
    pairs = corpus.data.one_video.pairs
    decided = np.flatnonzero(pairs.decided.to_numpy(bool))
    if not len(decided):
        return {}
    later = decided[_happened_later(corpus)[decided]]
    plain = [(rows, OneTitleScorer(corpus, scorer.model, {})) for rows, scorer in unseen]
    unadapted = OneTitleScorer(corpus, known.model, {})
    return {
        "future": one_video_gaps(corpus, known, later),
        "future_unadapted": one_video_gaps(corpus, unadapted, later),
        "new": _of_left_out(corpus, plain, decided),
        "adapted": _of_left_out(corpus, unseen, later),
        "adapted_unadapted": _of_left_out(corpus, plain, later),
    }


def training_experiment_gaps(corpus: Corpus, scorers: Sequence[tuple[Flags, OneTitleScorer]]) -> Float64s:
    """Return the score of the better picture minus the score of the worse picture, for pairs of experiments.

    Only pairs of the part `TRAIN` are used, so that the calibration does not use pairs of the evaluation. Each scorer has
    flags [n], which mark the videos of some channels. The scorer scores the pairs of these channels. The scorer must
    not have been fitted to these pairs.

    An experiment without a winner counts as half a win for each picture. So the result has the difference of a decided
    pair twice. The difference of an undecided pair occurs once as it is, and once with the opposite sign. The result is
    empty if there are fewer than `LEAST_EXPERIMENTS` tested videos, or if the tested videos are of fewer than
    `LEAST_CHANNELS` channels.
    """
    pairs = corpus.data.one_video.pairs
    chosen = np.flatnonzero(((pairs.part == TRAIN) & (pairs.source == EXPERIMENT)).to_numpy(bool))
    scored = _of_left_out(corpus, scorers, chosen)
    tested = pairs.iloc[scored.pairs]
    if len(tested.video_id.unique()) < LEAST_EXPERIMENTS or len(tested.channel_id.unique()) < LEAST_CHANNELS:
        return np.zeros(0)
    decided = tested.decided.to_numpy(bool)
    wins = np.sign(tested.gap.to_numpy(float)) * scored.gaps
    return np.concatenate([wins[decided], wins[decided], scored.gaps[~decided], -scored.gaps[~decided]])


def _happened_later(corpus: Corpus) -> Flags:
    """Return whether each one-video pair [k] is held out for models that were fitted to the known videos of its
    channel.

    A held-out pair is in the test part, and happened after all known videos of the channel were published. The video of
    a held-out pair is not a known video, because the models were fitted to the views of known videos.
    """
    pairs, videos = corpus.data.one_video.pairs, corpus.data.videos
    known = videos[videos.part.isin([TRAIN, VALIDATION])]
    published = pd.to_datetime(known.published_at, utc=True).dt.tz_localize(None)
    latest = pairs.channel_id.map(published.groupby(known.channel_id).max())
    # A channel without known videos has no latest date. So none of its pairs happened on or before the latest date.
    later = (pairs.part == TEST) & ~(pairs.happened_on <= latest) & ~pairs.video_id.isin(known.video_id)
    return np.asarray(later, bool)


def _of_left_out(corpus: Corpus, scorers: Sequence[tuple[Flags, OneTitleScorer]], pairs: Rows) -> OneVideoGaps:
    """Return the gaps of `pairs`, by the scorer of each pair's channel. A pair without a scorer is left out.

    The flags [n] of each scorer mark the videos of its channels. Usually, the model of the scorer was trained without
    these videos.
    """
    channel = corpus.data.one_video.pairs.channel_id.to_numpy(str)[pairs]
    scored = [
        one_video_gaps(corpus, scorer, pairs[np.isin(channel, np.unique(corpus.channel[of_scorer]))])
        for of_scorer, scorer in scorers
    ]
    chosen = np.concatenate([np.zeros(0, np.intp), *(of_scorer.pairs for of_scorer in scored)])
    return OneVideoGaps(chosen, np.concatenate([np.zeros(0), *(of_scorer.gaps for of_scorer in scored)]))
