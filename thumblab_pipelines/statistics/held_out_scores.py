"""Define the held-out scores with which a model is evaluated.

A held-out score of a video comes from a model that was not trained on this video.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from thumblab_core.arrays import Float64s, Floats, Rows


@dataclass(frozen=True)
class PictureGaps:
    """The picture gaps of pairs: the winner's picture score minus the loser's picture score under the same title.

    Parameters
    ----------
    pairs
        The k evaluated pairs, as row numbers of the dataset's pairs.
    gaps
        The differences of the scores [k, 2]: in column 0 under the winner's title, in column 1 under the loser's title.
    """

    pairs: Rows
    gaps: Float64s


@dataclass(frozen=True)
class OneVideoGaps:
    """The gaps of one-video pairs: the score of picture a minus the score of picture b. Each picture has its own title.

    Parameters
    ----------
    pairs
        The k evaluated pairs, as row numbers of the one-video pairs of the dataset.
    gaps
        The differences of the scores [k].
    """

    pairs: Rows
    gaps: Float64s


@dataclass(frozen=True)
class HeldOutScores:
    """The scores on which an evaluation is based, for the n videos of a dataset.

    The scores come from the trained model, and from further models that were each trained without one fold of channels.

    Parameters
    ----------
    future
        Scores [n] of the released model with channel adapters. The model was trained on the training rows of each
        channel. The adapters were fitted on the training and validation rows.
    future_unadapted
        Scores [n] of the same model without channel adapters.
    new
        Scores [n]: each video is scored by a model that was trained without the video's channel. NaN if no such model
        could be trained.
    adapted
        Scores [n] of the same models as in `new`, with channel adapters. The adapters were fitted on the oldest 80 % of
        the channel's videos, which are its training and validation rows.
    slope, slope_adapted
        Factors that turn a difference of two scores into the log odds of winning. `slope` is for scores without
        adapters, and `slope_adapted` is for scores with adapters.
    pictures
        The picture gaps on held-out pairs. The keys `future`, `future_unadapted`, `new` and `adapted` mean the same
        models as the fields above. The key `adapted_unadapted` has gaps of the same pairs as the key `adapted`, but the
        gaps come from the models of `new`, without adapters.
    one_title_slopes
        The two slopes for pictures under one title, without and with adapters. If `one_title_slopes` is None, `slope`
        and `slope_adapted` are used instead.
    one_video
        The gaps of held-out one-video pairs, with the same keys as `pictures`.
    """

    future: Floats
    future_unadapted: Floats
    new: Floats
    adapted: Floats
    slope: float
    slope_adapted: float
    pictures: Mapping[str, PictureGaps] = field(default_factory=dict)
    one_title_slopes: tuple[float, float] | None = None
    one_video: Mapping[str, OneVideoGaps] = field(default_factory=dict)
