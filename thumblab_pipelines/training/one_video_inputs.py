"""Convert one-video pairs to the two forms that the training uses.

The model learns from `Differences`, and the channel adapters learn from `ComparedPictures`.

Only pairs of the part `TRAIN` are used. All other pairs are held out for evaluation and calibration.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thumblab_core.arrays import Flags, Float32s, Rows
from thumblab_core.ranking.adapters import ComparedPictures
from thumblab_core.ranking.inputs import VERSION, model_inputs
from thumblab_core.ranking.ranker import Ranker
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.one_video import OneVideoPairs
from thumblab_pipelines.dataset.splits import TRAIN
from thumblab_pipelines.training.corpus import Corpus
from thumblab_pipelines.training.linear import Differences


@dataclass(frozen=True)
class OneVideoInputs:
    """The inputs of the ranking model for k one-video pairs.

    `first` [k, d]: the inputs of picture a. `second` [k, d]: the inputs of picture b. Each picture has the title that
    was shown with it. Words in the pictures are used only if the words of both pictures of the pair are known.
    """

    first: Float32s
    second: Float32s

    @classmethod
    def of(cls, one_video: OneVideoPairs, rows: Rows, version: int = VERSION) -> OneVideoInputs:
        """Return the inputs of the pairs in `rows` [k], which are row numbers in `one_video`.

        `version`: the version of the inputs that the model was trained with.
        """
        sides, table = [], one_video.pairs.iloc[rows]
        # Words are stored only for the present picture of a video, and this picture is often the winner of a test. So
        # if words were used when only one of the two pictures has them, the model would learn the outcome from their
        # presence.
        read = [isinstance(a, str) and isinstance(b, str) for a, b in zip(table.words_a, table.words_b, strict=True)]
        for side, (title, words) in enumerate((("title_a", "words_a"), ("title_b", "words_b"))):
            shown = [text if known else None for text, known in zip(table[words], read, strict=True)]
            images, titles = one_video.images[rows, side], one_video.titles[rows, side]
            sides.append(model_inputs(images, titles, table[title].tolist(), version, shown))
        return cls(*sides)


def differences(corpus: Corpus, model: Ranker, train: Rows, picture: Rows) -> Differences | None:
    """Return the training pairs as differences. Only pairs of channels that have a video in `train` are used.

    A pair with two different titles is left out, because the titles may have decided which picture got more views.
    Return None if no pair is left. `picture`: the column numbers of the picture part.
    """
    pairs = corpus.data.one_video.pairs
    one_title = (pairs.title_a == pairs.title_b).to_numpy(bool)
    inside = pairs.channel_id.isin(np.unique(corpus.channel[train])).to_numpy(bool)
    chosen = _for_training(corpus.data) & one_title & inside
    if not chosen.any():
        return None
    inputs = OneVideoInputs.of(corpus.data.one_video, np.flatnonzero(chosen))
    first, second = (model.standardise(side)[:, picture] for side in (inputs.first, inputs.second))
    gaps, variances = (pairs[name].to_numpy(float)[chosen] for name in ("gap", "variance"))
    return Differences(first - second, gaps, variances)


def compared_pictures(data: Dataset, model: Ranker) -> dict[str, ComparedPictures]:
    """Return the pairs that the adapter of each channel may learn from, by the id of the channel."""
    one_video = data.one_video.only(_for_training(data))
    channel = one_video.pairs.channel_id.to_numpy(str)
    return {str(name): compared(one_video.only(channel == name), model) for name in np.unique(channel)}


def compared(one_video: OneVideoPairs, model: Ranker) -> ComparedPictures:
    """Convert one-video pairs to the form that an adapter learns from, with the model's inputs and scores."""
    inputs = OneVideoInputs.of(one_video, np.arange(len(one_video)), model.config.version)
    return ComparedPictures(
        first=model.standardise(inputs.first),
        second=model.standardise(inputs.second),
        score_gaps=model.scores(inputs.first) - model.scores(inputs.second),
        gaps=one_video.pairs.gap.to_numpy(float),
        variances=one_video.pairs.variance.to_numpy(float),
    )


def _for_training(data: Dataset) -> Flags:
    return np.asarray((data.one_video.pairs.part == TRAIN).to_numpy(bool), bool)
