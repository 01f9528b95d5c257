"""What an answer claims of its ranking, and where it claims nothing because nothing is known."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from thumblab_core.ranking.adapters import Adapter
from thumblab_core.ranking.confidence import CLEAR, is_too_close, percent
from thumblab_core.ranking.percentiles import LEAST_PLACED as LEAST_OF_CHANNEL
from thumblab_core.ranking.skill import ADAPTED, FUTURE, NEW_CHANNELS
from thumblab_serving.loading.channel_adapters import Known
from thumblab_serving.schemas import SkillOut, Verdict

if TYPE_CHECKING:  # importing the ranker imports torch
    from thumblab_core.ranking.trained_ranker import TrainedRanker

_NOISE = 1e-5
"""Equal pictures come out of a matrix product a little differently, depending on their place in it."""

_WHOSE = {
    FUTURE: "later videos of channels that it had learnt",
    NEW_CHANNELS: "channels that it had not learnt",
    ADAPTED: "new channels with their history",
}
_NAMED = 60


def levelled(scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Scores [n] of which those that differ by rounding alone are the same."""
    found = scores.astype(np.float64)
    order = np.argsort(found, kind="stable")
    for before, row in pairwise(order.tolist()):
        if found[row] - found[before] <= _NOISE * max(1.0, abs(found[before])):
            found[row] = found[before]
    return found


def confidence(scores: npt.NDArray[np.float64], slope: float) -> float:
    """The chance that the best of two or more scores beats the second: the pairwise model's own question."""
    best, second = np.sort(scores)[::-1][:2].tolist()
    return 1.0 / (1.0 + math.exp(-slope * (best - second)))  # of a logit of 0 and more, which cannot overflow


def verdict(chance: float) -> Verdict:
    """By the percentage that is shown."""
    if is_too_close(chance):
        return Verdict.TOO_CLOSE_TO_CALL
    return Verdict.CLEAR if percent(chance) >= CLEAR else Verdict.LEANING


def skill(model: "TrainedRanker", history: Known | None) -> SkillOut | None:
    """What the ranking of such a channel was measured to be worth; None where it was not."""
    question = _question(history)
    found = model.skills.get(question)
    if found is None:
        return None
    return SkillOut(
        measured_on=question, auc=found.auc, low=found.low, high=found.high, pairs=found.pairs, channels=found.channels
    )


def doubts(model: "TrainedRanker", niche: str, history: Known | None) -> list[str]:
    """Sentences on what the model cannot say of any picture of the request."""
    question, adapter = _question(history), None if history is None else history.adapter
    found = model.skills.get(question)
    instead = "read the sub-scores and the neighbours rather than the rank"
    said = []
    if found is None:
        said.append(f"how this model does on {_WHOSE[question]} was not measured: {instead}")
    elif not found.proven:
        said.append(
            f"on {_WHOSE[question]} this model is no better than chance as far as was measured "
            f"({100 * found.auc:.0f} % of {found.pairs:,} held-out pairs{_interval(found.low, found.high)}): {instead}"
        )
    if adapter is not None:
        said += _unplaced(adapter, "" if history is None else history.channel_id)
    elif model.calibration.percentile(0.0, niche) is None:
        said.append(
            f"the model was trained on too few videos of {niche} to place a score in it: thumbnails are ranked only"
        )
    if model.uninformed is not None:
        said.append(f"predicted engagement is left out: {model.uninformed}")
    if model.familiar is None:
        said.append(
            "this model cannot tell a picture that is unlike all it has learnt: it was trained on too few, or by an older "
            "version of the lab"
        )
    return said


def strange(model: "TrainedRanker", cosines: Mapping[str, float]) -> Sequence[str]:
    """The sentence on the pictures, by id with their cosine to the nearest learnt one, that are unlike all of these."""
    if not cosines or model.familiar is None:
        return []
    names = [f"{name[:_NAMED]} ({cosine:.2f})" for name, cosine in cosines.items()]
    who = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    one = len(names) == 1
    return [
        f"{who} {'is' if one else 'are'} unlike every picture that the model has learnt and "
        f"{'is' if one else 'are'} not ranked (cosine to the nearest in brackets; pictures of other channels that it can "
        f"judge have at least {model.familiar.least:.2f})"
    ]


def _question(history: Known | None) -> str:
    if history is None or history.adapter is None:
        return NEW_CHANNELS
    return FUTURE if history.release is None else ADAPTED


def _unplaced(adapter: Adapter, channel: str) -> list[str]:
    if adapter.quantiles is not None:
        return []
    if adapter.videos < LEAST_OF_CHANNEL:
        why = f"its history has {adapter.videos} of the {LEAST_OF_CHANNEL} videos that this takes"
    else:
        why = "its history was learnt by an older version of the lab"
    return [f"scores have no place among those of {channel}: {why}"]


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ", without an interval"
    return f", 95 % interval {100 * low:.0f} to {100 * high:.0f} %"
