"""Decide whether the model may name a winner. It may if its skill is proven for the question that a request asks."""

from typing import TYPE_CHECKING

from thumblab_core.ranking.skill import ADAPTED, FUTURE, NEW_CHANNELS, PACKAGE, Skill
from thumblab_serving.loading.channel_adapters import AdapterChoice
from thumblab_serving.schemas.verdict import Question

if TYPE_CHECKING:  # Only type checkers import the ranker here, because it imports torch, which is slow to import.
    from thumblab_core.ranking.trained_ranker import TrainedRanker


def split_of(channel: AdapterChoice | None) -> str:
    """Return the split of the evaluation whose channels are like the channel of the request.

    Without a usable adapter, these are the unseen channels. With one of the model's own adapters, these are the known
    channels. With an added adapter, these are the unseen channels with adapters.
    """
    if channel is None or channel.adapter is None:
        return NEW_CHANNELS
    return FUTURE if channel.release is None else ADAPTED


def measured_skill(ranker: "TrainedRanker", channel: AdapterChoice | None, question: Question) -> Skill | None:
    """Return the skill of the model at a question, on the split that `split_of` returns. None if it was not measured.

    For pictures under one title, the skill of an older model may be that of `PACKAGE`, see `read_skills`.
    """
    skills = ranker.package_skills if question == PACKAGE else ranker.skills
    return skills.get(split_of(channel))


def has_proven_skill(ranker: "TrainedRanker", channel: AdapterChoice | None, question: Question) -> bool:
    """Return whether the model was shown to be better than chance at this question.

    The whole 95 % interval must be above chance. The skill of older models was measured only by which of two videos got
    more views. That is the question of packages. It proves nothing for pictures under one title.
    """
    skill = measured_skill(ranker, channel, question)
    return skill is not None and skill.proven and (question == PACKAGE or skill.question != PACKAGE)
