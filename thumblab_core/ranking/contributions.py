"""Split the difference of two scores into the contributions of picture, title, their match and the channel's history.

The score with a channel adapter is a sum: the model's own score times `Adapter.score_slope`, plus the adapter's
correction. So the correction's part of the difference is known exactly. This part is the contribution of the channel's
history.

The model's own score is not additive, because the network combines all inputs. The part of the difference that comes
from this score is split by Shapley values (Shapley, 1953): the inputs of the second candidate are replaced by the
inputs of the first, one group after another. When a group is replaced, the score changes. The contribution of the group
is the mean of this change over all orders of the groups. For a linear model, this mean is the sum over the group's
inputs of weight times difference. The contributions always add up to the difference.
"""

from math import factorial
from typing import Final

import numpy as np

from thumblab_core.arrays import Float32s, Float64s
from thumblab_core.ranking import inputs as blocks
from thumblab_core.ranking.adapters import Adapter
from thumblab_core.ranking.ranker import Ranker

PICTURE: Final = "picture"
TITLE: Final = "title"
MATCH: Final = "match"
CHANNEL: Final = "channel"
CONTRIBUTORS: Final = (PICTURE, TITLE, MATCH, CHANNEL)
"""What contributes to a difference of two scores, in the order of the columns of `contributions`.

`MATCH` is how far the words in the picture agree with the title. `CHANNEL` is the channel's history.
"""

_GROUPS = {
    PICTURE: (blocks.IMAGE,),
    TITLE: (blocks.TITLE, blocks.FACTS_BLOCK, blocks.WORDS_BLOCK, blocks.LENGTH_BLOCK),
    MATCH: (blocks.AGREEMENT_BLOCK,),
}
"""The blocks of inputs of each group. The length of the video is unknown when candidates are scored, so the length adds
0.
"""


def contributions(model: Ranker, first: Float32s, second: Float32s, adapter: Adapter | None = None) -> Float64s:
    """Return the contributions to the differences of n pairs of scores, float64 [n, 4], in log views.

    `first` and `second` [n, d] are the inputs of the candidates. A difference is the score of the first candidate minus
    the score of the second. The columns have the order of `CONTRIBUTORS`. A positive contribution means that the group
    raises the score of the first candidate. A group that is the same for both candidates contributes 0.
    """
    split = np.zeros((len(first), len(CONTRIBUTORS)))
    groups = len(_GROUPS)
    split[:, :groups] = _shapley_values(model, first, second)
    if adapter is not None:
        split[:, :groups] *= adapter.score_slope
        corrections = adapter.correction(model.standardise(np.concatenate((first, second))))
        differs = (first != second).any(axis=1)  # Equal inputs may get corrections that differ by rounding.
        split[:, groups] = np.where(differs, corrections[: len(first)] - corrections[len(first) :], 0.0)
    return split


def _shapley_values(model: Ranker, first: Float32s, second: Float32s) -> Float64s:
    """Return the contributions of the groups to the differences of the model's own scores, float64 [n, groups]."""
    layout = model.config.layout
    columns = [[layout.columns(name) for name in names] for names in _GROUPS.values()]
    differs = np.stack(
        [np.any([(first[:, block] != second[:, block]).any(axis=1) for block in group], axis=0) for group in columns],
        axis=1,
    )
    replaced = np.flatnonzero(differs.any(axis=0)).tolist()  # Groups with equal inputs contribute 0.
    count = len(replaced)
    # `mixed[s]` takes the groups in the set s from the first candidates, and all other groups from the second
    # candidates. Bit b of s says whether the group `replaced[b]` is in the set.
    mixed = np.repeat(second[None], 2**count, axis=0)
    for members in range(2**count):
        for bit, group in enumerate(replaced):
            for block in columns[group] if members >> bit & 1 else ():
                mixed[members, :, block] = first[:, block]
    scores = model.scores(mixed.reshape(-1, layout.total)).astype(np.float64).reshape(2**count, len(first))
    values = np.zeros(differs.shape)
    for bit, group in enumerate(replaced):
        for before in range(2**count):
            if not before >> bit & 1:
                # Shapley value: imagine the groups in all possible orders. `share` is the share of the orders in which
                # exactly the groups in `before` come before this group.
                size = before.bit_count()
                share = factorial(size) * factorial(count - size - 1) / factorial(count)
                values[:, group] += share * (scores[before | 1 << bit] - scores[before])
    # Equal inputs may get scores that differ by rounding. A group with equal inputs contributes exactly 0.
    return np.where(differs, values, 0.0)
