"""Convert the videos of a dataset to the arrays that training needs, and compute the targets of the training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.arrays import Float32s, Float64s, Floats, Rows
from thumblab_core.ranking.inputs import VERSION, input_parts, model_inputs
from thumblab_pipelines.dataset.load import Dataset
from thumblab_pipelines.dataset.splits import TRAIN, VALIDATION
from thumblab_pipelines.statistics.mixed_rows import MixedRows
from thumblab_pipelines.statistics.trend import publication_days
from thumblab_pipelines.training.adaptation import above_trend

if TYPE_CHECKING:
    from thumblab_pipelines.training.title_prior.prior import TitlePrior

_LEAST_FOR_ENGAGEMENT = 5
"""Minimum number of a channel's videos. If a channel has fewer videos, their percentiles in the channel are not used as
targets."""
LEAST_FOR_CTR = 200
"""Minimum number of measured click-through rates. With fewer rates, the absolute head is not trained on them.

The absolute head is one of the ranker's outputs. Without enough rates, its target is the percentile of each video's
views among the videos of the channel.
"""


@dataclass(frozen=True)
class Corpus:
    """The n videos of a dataset as arrays.

    `inputs` [n, d]: inputs of the ranker. `channel` [n]: channel id of each video. `target` [n]: log of the
    age-corrected views. `published` [n]: time of publication in days. `validation`: rows of the validation part.
    `known`: rows of the training part and the validation part. `prior`: the title prior from which the linear model
    starts, or None.
    """

    data: Dataset
    inputs: MixedRows
    channel: npt.NDArray[np.str_]
    target: Float64s
    published: Float64s
    validation: Rows
    known: Rows
    prior: TitlePrior | None = None

    @classmethod
    def of(cls, data: Dataset, prior: TitlePrior | None = None) -> Corpus:
        """Return the corpus of a dataset."""
        validation = data.rows(VALIDATION)
        return cls(
            data,
            inputs=dataset_inputs(data),
            channel=data.videos.channel_id.to_numpy(str),
            target=data.videos.target.to_numpy(float),
            published=publication_days(data.videos),
            validation=validation,
            known=np.union1d(data.rows(TRAIN), validation),
            prior=prior,
        )

    def pairs_within(self, rows: Rows) -> tuple[Rows, Rows, Float32s]:
        """Return the winners, losers and margins of the pairs whose two videos are both in `rows`."""
        pairs = self.data.pairs[self.data.pairs_within(rows)]
        return pairs.winner.to_numpy(np.intp), pairs.loser.to_numpy(np.intp), pairs.margin.to_numpy(np.float32)

    def score_gaps(self, scores: Floats, rows: Rows) -> Floats:
        """Return the winner's score minus the loser's score for each pair whose two videos are both in `rows`.

        `scores` [n] are the scores of the videos. Pairs with a score that is not finite are left out.
        """
        winners, losers, _ = self.pairs_within(rows)
        gaps = scores[winners] - scores[losers]
        return gaps[np.isfinite(gaps)]

    def above_trend(self, rows: Rows) -> Floats:
        """Return the log views [n] of each video minus the trend of its channel. The trend is computed only from
        `rows`."""
        known = np.zeros(len(self.target), bool)
        known[rows] = True
        return above_trend(self.channel, self.published, self.target, known)

    def learns_ctr(self, rows: Rows) -> bool:
        """Return whether enough of the rows have a click-through rate, so that the absolute head can be trained on
        these rates."""
        if "click_through_rate" not in self.data.videos:
            return False
        return int(self.data.videos.click_through_rate.iloc[rows].notna().sum()) >= LEAST_FOR_CTR

    def absolute_target(self, rows: Rows, measured: bool) -> Float32s:
        """Return the target [n] of the absolute head, 0 to 1. The target is NaN outside `rows`, and for unknown values.

        If `measured` is true, the target is the click-through rate. If `measured` is false, the target is the
        percentile of the video's log views among the videos in `rows` that belong to the same channel.
        """
        target = np.full(len(self.data.videos), np.nan, np.float32)
        videos = self.data.videos.iloc[rows]
        if measured:
            target[rows] = videos.click_through_rate.to_numpy(np.float32)
            return target
        rank = videos.groupby("channel_id").target.rank() - 0.5
        size = videos.groupby("channel_id").target.transform("size")
        target[rows] = np.where(size >= _LEAST_FOR_ENGAGEMENT, rank / size, np.nan)
        return target


def crossed_inputs(data: Dataset, pictures: Rows, titles: Rows, version: int = VERSION) -> Float32s:
    """Return the inputs of the ranking model for k pictures under k titles, float32 [k, d].

    `pictures` [k]: the row numbers of the videos whose pictures are used. `titles` [k]: the row numbers of the videos
    whose titles are used.
    """
    words, texts = data.picture_words, data.videos.title.tolist()
    shown, under = [words[row] for row in pictures], [texts[row] for row in titles]
    seconds = data.videos.duration_s.to_numpy(float)[titles]
    return model_inputs(data.images[pictures], data.titles[titles], under, version, shown, seconds)


def dataset_inputs(data: Dataset, version: int = VERSION) -> MixedRows:
    """Return the inputs of the ranking model for all n videos of a dataset, [n, d].

    `version`: the version of the inputs that the model was trained with.
    """
    seconds = data.videos.duration_s.to_numpy(float)
    titles = data.videos.title.tolist()
    parts = input_parts(data.images, data.titles, titles, version, data.picture_words, seconds)
    return MixedRows(tuple(parts.values()))
