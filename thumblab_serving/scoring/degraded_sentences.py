"""Write the sentences of the field `degraded`: how good the ranking is, and what the model cannot say."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from thumblab_core.ranking.adapters import Adapter
from thumblab_core.ranking.percentiles import LEAST_PLACED
from thumblab_core.ranking.skill import ADAPTED, FUTURE, NEW_CHANNELS, ONE_TITLE, Skill
from thumblab_serving.loading.channel_adapters import AdapterChoice
from thumblab_serving.schemas.answer import SkillOut
from thumblab_serving.scoring.rank import RankingContext

if TYPE_CHECKING:  # Only type checkers import the ranker here, because it imports torch, which is slow to import.
    from thumblab_core.ranking.trained_ranker import TrainedRanker

_EVALUATED_ON = {
    FUTURE: "later videos of channels that it was trained on",
    NEW_CHANNELS: "unseen channels",
    ADAPTED: "unseen channels with a channel adapter",
}
_INSTEAD = "rely on the sub-scores and the neighbours rather than on the rank"

_LONGEST_NAME = 60
"""Maximum number of characters of a candidate's id that a sentence quotes."""


def skill(ranker: "TrainedRanker", channel: AdapterChoice | None) -> SkillOut | None:
    """Return the accuracy of the model on channels like that of the request, see `SkillOut`.

    Return None if the model was not evaluated on such channels.
    """
    split = _split(channel)
    evaluated = ranker.skills.get(split)
    if evaluated is None:
        return None
    return SkillOut(
        question="one_title" if evaluated.question == ONE_TITLE else "package",
        summary=f"On {_EVALUATED_ON[split]}, the model ordered {_figures(evaluated)} correctly.",
        measured_on=split,
        auc=evaluated.auc,
        low=evaluated.low,
        high=evaluated.high,
        pairs=evaluated.pairs,
        channels=evaluated.channels,
    )


def model_limits(ranker: "TrainedRanker", query: RankingContext) -> list[str]:
    """Return a sentence for each thing that the model cannot say about any picture of the request."""
    sentences = _skill_doubts(ranker, query)
    if query.channel is not None and query.channel.adapter is not None:
        sentences += _no_channel_percentiles(query.channel.adapter, query.channel.channel_id)
    elif ranker.calibration.percentile(0.0, query.niche) is None:
        sentences.append(
            f"the model was trained on too few videos of {query.niche} to give scores: thumbnails are only ranked"
        )
    if ranker.why_no_engagement is not None:
        sentences.append(f"predicted engagement is left out: {ranker.why_no_engagement}")
    if ranker.familiar is None:
        sentences.append(
            "this model cannot tell whether a picture is unlike its training pictures: it was trained on too few pictures, "
            "or by an older version of the lab"
        )
    return sentences


def unfamiliar_pictures(ranker: "TrainedRanker", cosines: Mapping[str, float]) -> Sequence[str]:
    """Return the sentence about pictures that are unlike all training pictures, or no sentence if there are none.

    `cosines` has the cosine of each such picture to the nearest training picture, by the picture's id.
    """
    if not cosines or ranker.familiar is None:
        return []
    names = [f"{name[:_LONGEST_NAME]} ({cosine:.2f})" for name, cosine in cosines.items()]
    if len(names) == 1:
        subject, verb = names[0], "is"
    else:
        subject, verb = f"{', '.join(names[:-1])} and {names[-1]}", "are"
    return [
        f"{subject} {verb} unlike every picture that the model was trained on and {verb} not ranked (in brackets: the "
        f"cosine to the nearest training picture, which must be at least {ranker.familiar.threshold:.2f})"
    ]


def no_winners(niche: str, names: Sequence[str]) -> Sequence[str]:
    """Return the sentence about pictures whose neighbours are not winners, or no sentence if there are none."""
    if not names:
        return []
    pictures = ", ".join(name[:_LONGEST_NAME] for name in names)
    return [f"no winner of {niche} is near {pictures}: the nearest thumbnails of any kind are listed instead"]


def _split(channel: AdapterChoice | None) -> str:
    """Return the split of the evaluation whose channels are like the channel of the request."""
    if channel is None or channel.adapter is None:
        return NEW_CHANNELS
    return FUTURE if channel.release is None else ADAPTED


def _skill_doubts(ranker: "TrainedRanker", query: RankingContext) -> list[str]:
    split = _split(query.channel)
    evaluated = ranker.skills.get(split)
    if evaluated is None:
        return [f"this model was not evaluated on {_EVALUATED_ON[split]}: {_INSTEAD}"]
    sentences = []
    if evaluated.question != ONE_TITLE:
        sentences.append(
            "this model was only evaluated on pairs of videos that differ in title and picture, not on pictures under one "
            "title: train it again"
        )
    if not evaluated.proven:
        sentences.append(
            f"on {_EVALUATED_ON[split]} this model was not shown to be better than chance (it ordered "
            f"{_figures(evaluated)} correctly): {_INSTEAD}"
        )
    return sentences


def _figures(skill: Skill) -> str:
    """Return a phrase such as "61 % of 900 held-out pairs of videos of 30 channels", followed by the 95 % interval.

    The percentage is the share of the pairs that the model ordered correctly.
    """
    pairs = "pairs of pictures under one title" if skill.question == ONE_TITLE else "pairs of videos"
    return (
        f"{100 * skill.auc:.0f} % of {skill.pairs:,} held-out {pairs} of {_number_of(skill.channels, 'channel')}"
        f"{_interval(skill.low, skill.high)}"
    )


def _number_of(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _no_channel_percentiles(adapter: Adapter, channel_id: str) -> list[str]:
    if adapter.quantiles is not None:
        return []
    if adapter.videos < LEAST_PLACED:
        why = f"its channel adapter has {adapter.videos} of the {LEAST_PLACED} videos that percentiles need"
    else:
        why = "its channel adapter was made by an older version of the lab"
    return [f"no scores are given for {channel_id}: {why}"]


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return " (no interval was computed)"
    return f" (95 % interval {100 * low:.0f} to {100 * high:.0f} %)"
